//! Nodes, and the attempts that they make.

use super::*;

impl Sim {
    pub(super) fn start(&mut self, n: usize, start: Start) {
        let event = self.log.event(start.offset).clone();
        let node = &self.nodes[n];
        let (group, number) = (node.group, node.number);
        if event.killer {
            let kills = self.kills.entry((group, event.offset)).or_default();
            *kills += 1;
            if *kills > MAX_KILLS && !self.plan.seeks && !self.plan.chaos && !self.plan.commands {
                let kills = *kills;
                self.err(format!("8: {} ended the process {kills} times", event.offset));
            }
            return self.crash(number);
        }
        let edited = start.edited.as_ref().and_then(|e| std::str::from_utf8(e).ok()?.parse().ok());
        let seed = edited.unwrap_or(event.seed);
        let exec = Exec::new(self.log.checker.programs.of(group, seed, event.slow), seed, event.time);
        let run = start.run;
        self.nodes[n].running.insert(run, Running { exec, start, event });
        self.at(0, Happening::Step(n, run, None));
    }

    pub(super) fn step(&mut self, n: usize, run: TxnId, given: Option<(What, Stored)>) {
        if !self.nodes[n].is_alive {
            return;
        }
        let node = &mut self.nodes[n];
        let Some(mut running) = node.running.remove(&run) else { return };
        let (mut fresh, mut is_gone) = (given, false);
        let dispatcher = &mut node.dispatcher;
        let step = running.exec.run(&mut |ask| {
            let what = what(ask);
            let stored = fresh.take().filter(|(w, _)| *w == what).map(|(_, s)| s);
            match dispatcher.read(run, &what, stored) {
                Seen::View(View::Row(row)) => {
                    let Ask::Key(key) = ask else { unreachable!("a value for a key") };
                    Some(row.map(|r| (key, r.value)).into_iter().collect())
                }
                Seen::View(View::Rows(rows)) => Some(rows.into_iter().map(|(k, v)| (k[0], v)).collect()),
                Seen::AskStore => None,
                Seen::Gone => {
                    is_gone = true;
                    None
                }
            }
        });
        if is_gone {
            return;
        }
        let wait = match step {
            Step::Done => return self.ended(n, run, running),
            Step::Blocked(what) => {
                self.nodes[n].running.insert(run, running);
                let lag = self.lag();
                return self.at(lag, Happening::Load(n, run, what));
            }
            Step::Wait(time) => time,
            Step::Http => {
                let is_out = self.plan.outage.is_some_and(|(from, to)| from <= self.now && self.now < to);
                running.exec.out.http = Some(!running.event.poison && !is_out);
                self.rng.below(10) as i64
            }
        };
        self.nodes[n].running.insert(run, running);
        self.at(wait, Happening::Step(n, run, None));
    }

    pub(super) fn ended(&mut self, n: usize, run: TxnId, running: Running) {
        if self.plan.interrupts && self.now < END && self.rng.chance(5) {
            return self.give(n, Input::Ran { run, end: RunEnd::Interrupted });
        }
        let out = running.exec.out;
        let end = if out.ok {
            let writes: Vec<_> = out.ops.iter().map(|(key, op)| (row_key(*key), op.clone())).collect();
            let appends = if out.appends.is_empty() { Records::default() } else { appends(&out.appends) };
            RunEnd::Ok(Effects { appends, writes, writers: Vec::new() })
        } else {
            RunEnd::Failed(RunFailure { message: "failed".to_owned(), ..RunFailure::default() })
        };
        let (offset, catalog) = (running.start.offset, running.start.catalog);
        self.nodes[n].ended.insert(run, Made { offset, run, catalog, out });
        self.give(n, Input::Ran { run, end });
    }

    pub(super) fn assign(&mut self, group: usize, number: usize, is_clean: bool) {
        let row = &mut self.log.groups[group];
        row.epoch = Epoch(row.epoch.0 + 1);
        row.unclean += u32::from(!is_clean);
        let epoch = row.epoch;
        let name = row.name.clone();
        self.writer += 1;
        let (writer, mut sequence) = (WriterId(self.writer), 0);
        let ids = Box::new(move || {
            sequence += 1;
            TxnId::new(writer, sequence)
        });
        let row = &self.log.groups[group];
        let assigned = Assignment {
            fence: Fence { group: name.clone(), at: TOPIC, epoch },
            topic: TopicName::new("orders").expect("valid"),
            position: row.position,
            incarnation: row.incarnation,
            unclean: row.unclean,
            catalog: if self.rng.chance(50) { self.log.catalog } else { CatalogVersion(1) },
            parked: self.log.range(&Entry::range(&name, 0)),
            mark: self.log.rows.get(&mark_key(&name, 0)).cloned(),
            is_paused: false,
            lost: None,
        };
        let dispatcher =
            Dispatcher::new(self.settings.clone(), assigned, ids, self.time()).expect("rows that it wrote");
        self.nodes.push(Node {
            group,
            number,
            dispatcher,
            epoch,
            running: HashMap::new(),
            ended: HashMap::new(),
            notes: HashMap::new(),
            is_alive: true,
            next_tick: i64::MAX,
            will_flush: false,
        });
        let n = self.nodes.len() - 1;
        self.owner[group] = Some(n);
        self.flush(n);
        if !self.plan.lazy {
            self.at(1, Happening::Tick(n));
        }
    }

    pub(super) fn release(&mut self, group: usize, n: usize) {
        if self.owner[group] == Some(n) {
            self.owner[group] = None;
            let number = self.rng.below(2) as usize;
            self.at(1, Happening::Assign(group, number, true));
        }
    }
}
