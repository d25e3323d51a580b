//! `goto` to the ends of loops, in random nests of them, does what a plain reading of it does.

use fastrand::Rng;
use weir_runtime::test_support::{Bench, invocation, value};

/// Nests that are tried.
const NESTS: u64 = 300;
/// How deep loops stand in each other.
const DEEPEST: usize = 4;

enum Step {
    /// Changes the sum by this, and counts a step.
    Add(u64),
    /// To the end of the loop of this label, where the count of steps leaves this remainder by that.
    Jump {
        label: usize,
        by: u64,
        rest: u64,
    },
    Loop {
        kind: Kind,
        label: usize,
        rounds: u64,
        body: Vec<Step>,
    },
    /// A block that always runs.
    Block(Vec<Step>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    For,
    While,
    Repeat,
}

/// Writes nests. `open` are the loops around, outermost first.
struct Writer {
    rng: Rng,
    labels: usize,
}

impl Writer {
    fn steps(&mut self, open: &mut Vec<(Kind, usize)>) -> Vec<Step> {
        (0..self.rng.usize(1..=4)).map(|_| self.step(open)).collect()
    }

    fn step(&mut self, open: &mut Vec<(Kind, usize)>) -> Step {
        let depth = open.len();
        match self.rng.u32(..6) {
            0 | 1 if depth < DEEPEST => {
                let kind = [Kind::For, Kind::While, Kind::Repeat][self.rng.usize(..3)];
                self.labels += 1;
                let label = self.labels;
                open.push((kind, label));
                let body = self.steps(open);
                open.pop();
                Step::Loop { kind, label, rounds: self.rng.u64(1..=4), body }
            }
            2 | 3 if depth > 0 => {
                // one that leaves a `repeat` is refused
                let innermost_repeat = open.iter().rposition(|(kind, _)| *kind == Kind::Repeat).unwrap_or(0);
                let (_, label) = open[self.rng.usize(innermost_repeat..depth)];
                let by = self.rng.u64(2..=5);
                Step::Jump { label, by, rest: self.rng.u64(..by) }
            }
            4 => Step::Block(self.steps(open)),
            _ => Step::Add(self.rng.u64(..100)),
        }
    }
}

fn lua(steps: &[Step]) -> String {
    let step = |step: &Step| match step {
        Step::Add(n) => format!("t = t + 1\nsum = (sum * 3 + {n}) % 1000003\n"),
        Step::Jump { label, by, rest } => format!("if t % {by} == {rest} then goto l{label} end\n"),
        Step::Block(body) => format!("do\n{}end\n", lua(body)),
        Step::Loop { kind, label, rounds, body } => {
            let body = lua(body);
            match kind {
                Kind::For => format!("for _ = 1, {rounds} do\n{body}::l{label}::\nend\n"),
                Kind::While => {
                    format!("do local n = 0 while n < {rounds} do n = n + 1\n{body}::l{label}:: end end\n")
                }
                Kind::Repeat => {
                    format!("do local n = 0 repeat n = n + 1\n{body}::l{label}:: until n == {rounds} end\n")
                }
            }
        }
    };
    steps.iter().map(step).collect()
}

/// The sum and the count of steps.
struct State {
    sum: u64,
    steps: u64,
}

impl State {
    /// Runs steps to their end, or to a jump out of them: its label.
    fn run(&mut self, steps: &[Step]) -> Option<usize> {
        steps.iter().find_map(|step| self.step(step))
    }

    fn step(&mut self, step: &Step) -> Option<usize> {
        match step {
            Step::Add(n) => {
                self.steps += 1;
                self.sum = (self.sum * 3 + n) % 1_000_003;
                None
            }
            Step::Jump { label, by, rest } => (self.steps % by == *rest).then_some(*label),
            Step::Block(body) => self.run(body),
            Step::Loop { label, rounds, body, .. } => {
                (0..*rounds).find_map(|_| self.run(body).filter(|target| target != label))
            }
        }
    }
}

#[tokio::test]
async fn jumps_to_the_ends_of_loops_go_where_they_say() {
    let nests: Vec<_> = (0..NESTS)
        .map(|seed| Writer { rng: Rng::with_seed(seed), labels: 0 }.steps(&mut Vec::new()))
        .collect();
    let named = nests.iter().zip(0..).map(|(steps, n)| {
        let text = format!("return function()\nlocal t, sum = 0, 0\n{}return {{sum, t}}\nend", lua(steps));
        (format!("app/nest{n}.lua"), text)
    });
    let files: Vec<_> = named.collect();
    let jumps = files.iter().filter(|(_, text)| text.contains("goto")).count();
    assert!(jumps as u64 > NESTS / 3, "{jumps} nests only have a jump");
    let bench =
        Bench::new(&files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect::<Vec<_>>());
    assert_eq!(bench.code.errors().first(), None);
    for (n, steps) in nests.iter().enumerate() {
        let mut state = State { sum: 0, steps: 0 };
        assert_eq!(state.run(steps), None);
        let got = value(&bench.run(&invocation(&format!("nest{n}"), "")).await);
        assert_eq!(got, format!("[{},{}]", state.sum, state.steps), "{}", files[n].1);
    }
}
