//! One stretch of a pump: what has come is passed on, then the homes act in turns.

use super::stretch::SLICE;
use super::{HomeNews, Pump};
use crate::home::{Acted, Told};
use crate::turns::Class;
use std::time::Duration;
use tokio::time::Instant;

impl Pump {
    /// Tells the homes what has happened and lets them act in turns, for one stretch; whether there was anything to do.
    pub(super) async fn act(&mut self) -> bool {
        let began = self.now();
        let stretch = self.stretches.begin(began);
        let mut now = began;
        self.deliver(&mut now);
        for (id, hosted) in &mut self.homes {
            hosted.home.stir(); // time has passed
            self.turns.wants(hosted.home.class(), *id);
        }
        let mut has_acted = false;
        loop {
            let Some((class, id)) = self.turns.next() else {
                if self.deliver(&mut now) {
                    continue;
                }
                self.stretches.end(now, false);
                return has_acted;
            };
            let Some(hosted) = self.homes.get_mut(&id) else {
                unreachable!("a home that is gone has no turns")
            };
            let acted = hosted.home.act(class);
            let took = self.spend(class, id, &mut now);
            has_acted |= !matches!(acted, Ok(Acted::Nothing));
            match acted {
                Ok(acted) => self.note(class, id, acted, took),
                Err(told) => self.tell(id, told).await,
            }
            if now - began >= stretch {
                self.stretches.end(now, true);
                return true;
            }
        }
    }

    /// Passes on what the log has answered, and which attempts may go on; whether there was anything.
    fn deliver(&mut self, now: &mut Instant) -> bool {
        let mut has_come = false;
        while let Some((id, input)) = self.queue.pop() {
            has_come = true;
            if let Some(hosted) = self.homes.get_mut(&id) {
                hosted.home.step(input);
                let class = hosted.home.class();
                self.turns.wants(class, id);
                self.spend(class, id, now);
            }
        }
        while let Some((id, run)) = self.queue.pop_woken() {
            has_come = true;
            if let Some(class) = self.homes.get_mut(&id).and_then(|h| h.home.woken(run)) {
                self.turns.wants(class, id);
            }
        }
        has_come
    }

    /// A home has worked since `since`, which becomes now; for how long.
    fn spend(&mut self, class: Class, id: u64, since: &mut Instant) -> Duration {
        let now = self.now();
        let took = now - std::mem::replace(since, now);
        self.turns.spent(class, id, took);
        if let Some(hosted) = self.homes.get_mut(&id) {
            hosted.load.add(took);
        }
        took
    }

    /// What a home wants after it has acted.
    fn note(&mut self, class: Class, id: u64, acted: Acted, took: Duration) {
        let Some(hosted) = self.homes.get_mut(&id) else { return };
        let home = &mut hosted.home;
        match acted {
            Acted::Unfinished(run) if took >= SLICE => home.go_on(run),
            Acted::Unfinished(_) | Acted::Done | Acted::Nothing => {}
        }
        if !home.has_work(class) {
            self.turns.rests(class, id);
        }
        // the end of a parked attempt is the dispatcher's to commit, and what it decides may be a parked attempt
        for other in [home.class(), Class::Parked] {
            if other != class && home.has_work(other) {
                self.turns.wants(other, id);
            }
        }
    }

    /// Passes on what a home tells; most of it is its end.
    async fn tell(&mut self, id: u64, told: Told) {
        let Some(hosted) = self.homes.get(&id) else { return };
        let news = hosted.news.clone();
        let message = match told {
            Told::Settled(place, epoch) => HomeNews::Settled(place, epoch),
            Told::Released(place, epoch) => {
                self.drop_home(id);
                HomeNews::Released(place, epoch)
            }
            Told::Lost(place) => {
                self.drop_home(id);
                HomeNews::Lost(place)
            }
        };
        drop(news.send(message).await); // its task ends only after its homes
    }

    fn drop_home(&mut self, id: u64) {
        if let Some(hosted) = self.homes.remove(&id) {
            hosted.home.report_load(0.0, false);
        }
        self.turns.forget(id);
    }
}
