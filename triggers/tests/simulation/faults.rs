//! What goes wrong, and what others do meanwhile.

use super::*;

impl Sim {
    pub(super) fn commit(&mut self, n: usize, tx: Arc<Transaction>) {
        let faults = if self.now < END { self.plan.faults } else { 0 };
        let lag = self.lag();
        let reply = |id, outcome| Happening::Give(n, Input::Replied { id, outcome });
        if self.rng.chance(faults) {
            return self.at(lag, reply(tx.id, Err(CommitError::Unavailable("busy".into()))));
        }
        let is_hidden = self.rng.chance(faults);
        if is_hidden && self.rng.chance(50) {
            return self.at(lag, reply(tx.id, Err(CommitError::Ambiguous("lost".into()))));
        }
        self.last_apply = self.last_apply.max(self.now + lag);
        self.at(self.last_apply - self.now, Happening::Apply(n, tx, is_hidden));
    }

    pub(super) fn crash(&mut self, number: usize) {
        for n in 0..self.nodes.len() {
            if self.nodes[n].number != number || !self.nodes[n].is_alive {
                continue;
            }
            self.nodes[n].is_alive = false;
            self.unanswered.retain(|_, asked| *asked != n);
            let group = self.nodes[n].group;
            if self.owner[group] == Some(n) {
                self.owner[group] = None;
                let (number, wait) = (self.rng.below(2) as usize, 1 + self.rng.below(30) as i64);
                self.at(wait, Happening::Assign(group, number, false));
            }
        }
    }

    pub(super) fn produce(&mut self) {
        for _ in 0..=self.rng.below(5) {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            let gap = if self.plan.gaps { self.rng.below(3) } else { 0 };
            let event = SimEvent {
                offset: Offset(self.log.tail().0 + gap),
                key: (!self.rng.chance(self.plan.keyless)).then(|| self.rng.below(4) as u8),
                time: self.time(),
                seed: self.rng.next(),
                size: 1 + self.rng.below(30) as usize,
                slow: self.settings.detach_after.is_some() && self.rng.chance(6),
                killer: self.plan.killers && self.rng.chance(6),
                poison: self.plan.outage.is_some() && self.rng.chance(10),
            };
            self.log.topic.push(event);
        }
        if self.rng.chance(50) {
            for n in self.owner.clone().into_iter().flatten() {
                self.give(n, Input::News);
            }
        }
        if self.left > 0 {
            let wait = 1 + self.rng.below(30) as i64;
            self.at(wait, Happening::Produce);
        }
    }

    pub(super) fn gateway(&mut self) {
        let seed = self.rng.next();
        let now = self.time();
        let ins: Vec<Ins> = self.log.checker.programs.of(GATEWAY, seed, false);
        let mut exec = Exec::new(ins.clone(), seed, now);
        let mut reads = Vec::new();
        let log = &self.log;
        exec.run(&mut |ask: Ask| {
            let (answer, read): (Answer, _) = log.look(ask, now);
            reads.push(read);
            Some(answer)
        });
        self.writer += 1;
        let id = TxnId::new(WriterId(self.writer), 0);
        let out: Out = exec.out;
        let mut tx = Transaction::new(id, self.log.catalog);
        tx.reads = reads;
        tx.writes = writes(&out, id);
        tx.appends.push(appends(&out.appends));
        let note = Note { group: GATEWAY, gateway: Some((ins, seed, out, now)), ..Note::default() };
        let lag = self.lag();
        self.last_apply = self.last_apply.max(self.now + lag);
        self.at(self.last_apply - self.now, Happening::GatewayCommit(Arc::new(tx), note));
        if self.now < END || self.plan.hot {
            let wait = if self.plan.hot { 1 } else { 1 + self.rng.below(40) as i64 };
            self.at(wait, Happening::Gateway);
        }
    }

    pub(super) fn chaos(&mut self) {
        if self.now >= END {
            return self.resume_all();
        }
        let group = self.rng.below(self.plan.groups as u64) as usize;
        let owner = self.owner[group];
        match (self.rng.below(10), owner) {
            (0 | 1, _) if self.plan.chaos => {
                let number = self.rng.below(2) as usize;
                self.crash(number);
            }
            (2, Some(n)) if self.plan.chaos => {
                let within = Duration::from_millis(self.rng.below(40));
                self.give(n, Input::Revoking { within });
            }
            // the old one goes on, a zombie
            (3, Some(_)) if self.plan.chaos => {
                let number = self.rng.below(2) as usize;
                self.assign(group, number, false);
            }
            (4 | 5, Some(n)) if self.plan.seeks => self.seek(n),
            (6..=8, Some(n)) if self.plan.commands => self.some_command(n, group),
            (9, _) if self.plan.catalogs => self.change_catalog(),
            _ => {}
        }
        let wait = 10 + self.rng.below(75) as i64;
        self.at(wait, Happening::Chaos);
    }

    pub(super) fn resume_all(&mut self) {
        for n in self.owner.clone().into_iter().flatten() {
            if self.nodes[n].dispatcher.mode() == Mode::Paused(PauseReason::ByHand) {
                self.command(n, 0, Command::Resume);
            }
        }
        if self.now < END + 2000 {
            self.at(100, Happening::Chaos);
        }
    }

    pub(super) fn seek(&mut self, n: usize) {
        let position = self.nodes[n].dispatcher.position();
        let anywhere = Offset(self.rng.below(self.log.tail().0 + 1));
        let target = if self.rng.chance(20) { position } else { anywhere };
        self.command(n, 0, Command::Seek(target));
    }

    pub(super) fn change_catalog(&mut self) {
        self.log.catalog = CatalogVersion(self.log.catalog.0 + 1);
        // the news arrives, or not: then a commit tells
        for n in 0..self.nodes.len() {
            if self.rng.chance(50) {
                let lag = self.lag();
                let catalog = self.log.catalog;
                self.at(lag, Happening::Give(n, Input::Catalog(catalog)));
            }
        }
    }

    pub(super) fn some_command(&mut self, n: usize, group: usize) {
        let range = Entry::range(&self.log.groups[group].name, 0);
        let parked: Vec<Offset> = self.log.rows.keys().filter(|k| range.contains(k)).map(offset_of).collect();
        let one = if parked.is_empty() { Offset::ZERO } else { self.rng.pick(&parked) };
        let command = match self.rng.below(7) {
            0 => Command::Pause,
            1 => Command::Resume,
            2 => Command::Redrive(Selection::One(one)),
            3 => Command::Redrive(Selection::All),
            4 => {
                let key = vec![self.rng.below(4) as u8];
                Command::Redrive(Selection::Key(key.into()))
            }
            5 => Command::Skip { offset: one, reason: "by hand".to_owned() },
            _ => Command::Edit { offset: one, value: self.rng.below(1 << 40).to_string().into() },
        };
        self.command(n, 0, command);
    }

    /// The operator, and whoever joins again.
    pub(super) fn report(&mut self, n: usize, report: &Report) {
        match report {
            Report::Paused(PauseReason::Exhausted(offset)) => {
                // whoever tries it again has it coming
                self.kills.remove(&(self.nodes[n].group, *offset));
                let is_late = self.now > END;
                if is_late {
                    let skip = Command::Skip { offset: *offset, reason: "tired of it".to_owned() };
                    self.command(n, 20, skip);
                }
                self.command(n, 30, Command::Resume);
            }
            Report::Paused(PauseReason::Refused | PauseReason::EventsLost { .. }) => {
                self.err(format!("10: unexpected {report:?}"));
            }
            Report::Lost => {
                let group = self.nodes[n].group;
                if self.owner[group] == Some(n) {
                    self.owner[group] = None;
                    self.at(1, Happening::Assign(group, self.nodes[n].number, false));
                }
            }
            _ => {}
        }
    }

    pub(super) fn command(&mut self, n: usize, after: i64, command: Command) {
        self.requests += 1;
        let request = self.requests;
        self.unanswered.insert(request, n);
        self.at(after, Happening::Give(n, Input::Command { request, command }));
    }
}

fn writes(out: &Out, stamp: TxnId) -> Vec<Write> {
    let write = |(key, op): (&u8, &Op)| Write { key: row_key(*key), op: op.clone(), stamp };
    out.ops.iter().map(write).collect()
}
