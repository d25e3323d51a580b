use super::*;
use std::collections::HashMap;

const US: Duration = Duration::from_micros(1);

/// Gives so many turns in which each takes as long as `cost` says; what each has used.
fn share(
    turns: &mut Turns,
    count: usize,
    cost: impl Fn(Class, u64) -> Duration,
) -> HashMap<(Class, u64), Duration> {
    let mut used = HashMap::new();
    for _ in 0..count {
        let (class, home) = turns.next().unwrap();
        turns.spent(class, home, cost(class, home));
        *used.entry((class, home)).or_default() += cost(class, home);
    }
    used
}

fn hungry(who: &[(Class, u64)]) -> Turns {
    let mut turns = Turns::default();
    who.iter().for_each(|(class, home)| turns.wants(*class, *home));
    turns
}

/// Whether two times are in this ratio, give or take a hundredth.
fn is_ratio(one: Duration, other: Duration, ratio: f64) -> bool {
    (one.as_secs_f64() / other.as_secs_f64() / ratio - 1.0).abs() < 0.01
}

#[test]
fn classes_that_are_all_hungry_share_four_to_two_to_one_whatever_a_turn_costs() {
    let mut turns = hungry(&[(Class::Live, 1), (Class::Parked, 1), (Class::Replay, 2)]);
    let used = share(&mut turns, 100_000, |class, _| match class {
        Class::Live => 7 * US,
        Class::Parked => 1000 * US,
        Class::Replay => 90 * US,
    });
    let (live, parked) = (used[&(Class::Live, 1)], used[&(Class::Parked, 1)]);
    assert!(is_ratio(live, parked, 2.0), "{used:?}");
    assert!(is_ratio(live, used[&(Class::Replay, 2)], 4.0), "{used:?}");
}

#[test]
fn the_number_of_homes_does_not_raise_the_share_of_their_class() {
    let mut turns = hungry(&[(Class::Live, 0)]);
    (1..=64).for_each(|home| turns.wants(Class::Replay, home));
    let used = share(&mut turns, 200_000, |_, _| 10 * US);
    let replays: Duration = (1..=64).map(|home| used[&(Class::Replay, home)]).sum();
    assert!(is_ratio(used[&(Class::Live, 0)], replays, 4.0), "{used:?}");
}

#[test]
fn homes_of_a_class_share_evenly_whatever_their_turns_cost() {
    let mut turns = hungry(&[(Class::Live, 1), (Class::Live, 2)]);
    let used = share(&mut turns, 100_000, |_, home| if home == 1 { 900 * US } else { 10 * US });
    assert!(is_ratio(used[&(Class::Live, 1)], used[&(Class::Live, 2)], 1.0), "{used:?}");
}

#[test]
fn the_share_of_a_class_that_rests_goes_to_the_others() {
    let mut turns = hungry(&[(Class::Live, 1), (Class::Parked, 1), (Class::Replay, 2)]);
    turns.rests(Class::Live, 1);
    let used = share(&mut turns, 10_000, |_, _| 10 * US);
    assert!(!used.contains_key(&(Class::Live, 1)));
    assert!(is_ratio(used[&(Class::Parked, 1)], used[&(Class::Replay, 2)], 2.0), "{used:?}");
}

#[test]
fn rest_saves_nothing_up() {
    let mut turns = hungry(&[(Class::Live, 1), (Class::Replay, 2)]);
    turns.rests(Class::Replay, 2);
    share(&mut turns, 100_000, |_, _| 10 * US);
    turns.wants(Class::Replay, 2);
    let used = share(&mut turns, 25, |_, _| 10 * US);
    assert_eq!(used[&(Class::Replay, 2)], 5 * 10 * US, "one round's share: {used:?}");
}

#[test]
fn who_was_alone_owes_its_last_turn_at_most() {
    let mut turns = hungry(&[(Class::Replay, 2)]);
    share(&mut turns, 1000, |_, _| 5000 * US);
    turns.wants(Class::Live, 1);
    let used = share(&mut turns, 10_000, |_, _| 10 * US);
    assert!(is_ratio(used[&(Class::Live, 1)], used[&(Class::Replay, 2)] + 5000 * US, 4.0), "{used:?}");
}

#[test]
fn resting_after_each_long_run_does_not_spare_paying_for_it() {
    let mut turns = hungry(&[(Class::Live, 1)]);
    let (mut live, mut parked) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..100_000 {
        turns.wants(Class::Parked, 1);
        let (class, home) = turns.next().unwrap();
        if class == Class::Live {
            turns.spent(class, home, 10 * US);
            live += 10 * US;
        } else {
            turns.spent(class, home, 1000 * US);
            parked += 1000 * US;
            turns.rests(class, home);
        }
    }
    assert!(is_ratio(live, parked, 2.0), "{live:?} {parked:?}");
}

#[test]
fn one_endless_run_is_not_held_against_its_class_for_ever() {
    let mut turns = hungry(&[(Class::Live, 1), (Class::Parked, 1)]);
    turns.spent(Class::Parked, 1, Duration::from_secs(3600));
    let used = share(&mut turns, 10_000, |_, _| 10 * US);
    assert!(used.contains_key(&(Class::Parked, 1)), "{used:?}");
}

#[test]
fn a_home_that_is_gone_gets_no_turn() {
    let mut turns = hungry(&[(Class::Live, 1), (Class::Parked, 1)]);
    turns.forget(1);
    assert_eq!(turns.next(), None);
}
