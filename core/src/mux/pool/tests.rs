use super::life::live;
use super::*;
use core::time::Duration;
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);
const START: Time = Time::from_nanos(1_000_000_000);

fn pool(options: PoolOptions) -> Pool<&'static str> {
    Pool::new(options, 7)
}

fn effects(pool: &mut Pool<&'static str>) -> Vec<Effect<&'static str>> {
    pool.check_invariants();
    core::iter::from_fn(|| pool.next_effect()).collect()
}

#[track_caller]
fn dial(pool: &mut Pool<&'static str>, key: &'static str) -> (Physical, Ticket) {
    match pool.open(&key, START) {
        Decision::Dial(physical, ticket) => (physical, ticket),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn wait(pool: &mut Pool<&'static str>, key: &'static str) -> Ticket {
    match pool.open(&key, START) {
        Decision::Wait(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

/// One that is open and has one logical connection.
#[track_caller]
fn connected(pool: &mut Pool<&'static str>, key: &'static str) -> Physical {
    let (physical, ticket) = dial(pool, key);
    assert!(pool.dialed(physical, START));
    assert_eq!(effects(pool).last(), Some(&Effect::Grant(ticket, physical)));
    assert_eq!(pool.take(ticket), Some(physical));
    physical
}

#[test]
fn logical_connections_to_one_address_share_a_physical_one() {
    let mut pool = pool(PoolOptions::default());
    let (a, first) = dial(&mut pool, "a");
    let second = wait(&mut pool, "a");
    let (b, _) = dial(&mut pool, "b");
    assert_ne!(a, b);
    assert_eq!(effects(&mut pool), [], "who asked dials");
    assert_eq!(
        (pool.take(first), pool.state(a), pool.cause(a)),
        (None, Some(State::Dialing), Some(Cause::Use))
    );
    assert!(pool.dialed(a, START));
    assert_eq!(effects(&mut pool), [Effect::Grant(first, a), Effect::Grant(second, a)]);
    assert_eq!((pool.take(first), pool.take(first), pool.take(second)), (Some(a), None, Some(a)));
    assert_eq!(pool.open(&"a", START), Decision::Use(a));
    assert_eq!((pool.logical(a), pool.logical(b), pool.len()), (3, 0, 2));
    assert_eq!(pool.physical(&"a").collect::<Vec<_>>(), [a]);
    let stats = PoolStats { granted: 3, dials: 2, ..PoolStats::default() };
    assert_eq!(pool.stats(), stats);
}

#[test]
fn all_who_wait_for_a_dial_are_told_that_it_failed_and_the_next_dials_again() {
    let mut pool = pool(PoolOptions::default());
    let (a, first) = dial(&mut pool, "a");
    let second = wait(&mut pool, "a");
    pool.dial_failed(a, START);
    let why = Failure::DialFailed(a);
    assert_eq!(effects(&mut pool), [Effect::Fail(first, why), Effect::Fail(second, why)]);
    assert_eq!((pool.take(first), pool.is_empty(), pool.deadline()), (None, true, None));
    assert!(!pool.dialed(a, START), "it is forgotten");
    let (again, _) = dial(&mut pool, "a");
    assert_ne!(again, a);
}

#[test]
fn a_loss_is_followed_by_a_dial_on_the_next_use() {
    let mut pool = pool(PoolOptions::default());
    let a = connected(&mut pool, "a");
    pool.lost(a, START);
    assert_eq!(effects(&mut pool), []);
    assert_eq!((pool.len(), pool.logical(a), pool.state(a)), (0, 0, None));
    pool.closed(a, START);
    pool.lost(a, START);
    pool.going_away(a, START);
    assert_eq!(pool.stats().lost, 1);
    dial(&mut pool, "a");
}

#[test]
fn whoever_was_granted_one_that_is_lost_before_it_is_taken_waits_in_the_old_place() {
    let mut pool = pool(PoolOptions::default());
    let (a, first) = dial(&mut pool, "a");
    let second = wait(&mut pool, "a");
    pool.dialed(a, START);
    pool.take(second);
    effects(&mut pool);
    pool.lost(a, START);
    let [Effect::Dial(b, "a")] = effects(&mut pool)[..] else { panic!("it is dialled again") };
    assert_eq!(pool.take(first), None);
    let third = wait(&mut pool, "a");
    pool.dialed(b, START);
    assert_eq!(effects(&mut pool), [Effect::Grant(first, b), Effect::Grant(third, b)]);
}

#[test]
fn an_idle_one_is_closed_after_five_minutes() {
    for idle in [Idle::default(), Idle::CloseAfter(Duration::ZERO)] {
        let mut pool = pool(PoolOptions { idle, ..PoolOptions::default() });
        let a = connected(&mut pool, "a");
        assert_eq!(pool.deadline(), None);
        pool.closed(a, START);
        let due = START + Duration::from_secs(300);
        assert_eq!(pool.deadline(), Some(due));
        assert_eq!(pool.open(&"a", due), Decision::Use(a), "used again");
        assert_eq!(pool.deadline(), None);
        pool.closed(a, START + MS);
        pool.expire(due);
        assert_eq!((effects(&mut pool), pool.len()), (vec![], 1));
        pool.expire(due + MS);
        assert_eq!((effects(&mut pool), pool.len()), (vec![Effect::Close(a)], 0));
        assert_eq!((pool.deadline(), pool.stats().expired), (None, 1));
    }
}

#[test]
fn it_is_closed_with_the_last_one_or_never_where_that_is_asked_for() {
    let mut at_once = pool(PoolOptions { idle: Idle::CloseAtOnce, ..PoolOptions::default() });
    let a = connected(&mut at_once, "a");
    at_once.opened(a, START);
    at_once.closed(a, START);
    assert_eq!(effects(&mut at_once), []);
    at_once.closed(a, START);
    assert_eq!(effects(&mut at_once), [Effect::Close(a)]);
    let (b, ticket) = dial(&mut at_once, "b");
    at_once.give_up(ticket, START);
    assert_eq!(effects(&mut at_once), [Effect::Close(b)], "a dial that nobody waits for");

    let mut never = pool(PoolOptions { idle: Idle::Keep, ..PoolOptions::default() });
    let a = connected(&mut never, "a");
    never.closed(a, START);
    never.expire(Time::MAX);
    assert_eq!((effects(&mut never), never.deadline()), (vec![], None));
}

#[test]
fn one_that_is_not_to_be_kept_ends_with_its_last_and_its_dial_with_who_waits() {
    let mut pool = pool(PoolOptions { idle: Idle::Keep, ..PoolOptions::default() });
    let (passing, kept) = (connected(&mut pool, "a"), connected(&mut pool, "b"));
    pool.end_with_last(passing, START);
    assert_eq!(pool.open(&"a", START), Decision::Use(passing));
    pool.closed(kept, START);
    pool.closed(passing, START);
    assert_eq!(effects(&mut pool), [], "one is left");
    pool.closed(passing, START);
    assert_eq!(effects(&mut pool), [Effect::Close(passing)]);
    assert_eq!((pool.state(passing), pool.state(kept)), (None, Some(State::Open)));

    let (dialed, ticket) = dial(&mut pool, "a");
    pool.end_with_last(dialed, START);
    let other = wait(&mut pool, "a");
    assert_eq!(pool.first_waiting(&"a"), Some(ticket));
    pool.give_up(ticket, START);
    assert_eq!((effects(&mut pool), pool.first_waiting(&"a")), (vec![], Some(other)));
    pool.give_up(other, START);
    assert_eq!(effects(&mut pool), [Effect::Close(dialed)]);

    // Who wants to stay up keeps it.
    let needed = connected(&mut pool, "a");
    pool.end_with_last(needed, START);
    pool.set_stay_up(&"a", true, START);
    pool.closed(needed, START);
    assert_eq!((effects(&mut pool), pool.state(needed)), (vec![], Some(State::Open)));
    pool.set_stay_up(&"a", false, START);
    assert_eq!(effects(&mut pool), [Effect::Close(needed)]);
    // There is nothing to say about what is forgotten.
    pool.end_with_last(needed, START);
    assert_eq!(effects(&mut pool), []);
}

#[test]
fn the_longest_idle_one_makes_room_for_another_address() {
    let mut pool = pool(PoolOptions { in_all: 3, ..PoolOptions::default() });
    let [a, b, c] = ["a", "b", "c"].map(|key| connected(&mut pool, key));
    pool.closed(b, START);
    pool.closed(a, START + MS);
    let (d, _) = dial(&mut pool, "d");
    assert_eq!(effects(&mut pool), [Effect::Close(b)]);
    dial(&mut pool, "e");
    assert_eq!(effects(&mut pool), [Effect::Close(a)]);
    assert_eq!([b, c, d].map(|it| pool.state(it)), [None, Some(State::Open), Some(State::Dialing)]);
    assert_eq!(pool.stats().evicted, 2);
}

#[test]
fn where_there_is_no_room_those_wait_who_came_first_of_all_addresses() {
    let mut pool = pool(PoolOptions { in_all: 1, ..PoolOptions::default() });
    let a = connected(&mut pool, "a");
    let [first, second, third] = ["c", "b", "c"].map(|key| wait(&mut pool, key));
    assert_eq!(effects(&mut pool), []);
    pool.closed(a, START);
    let [Effect::Close(closed), Effect::Dial(c, "c")] = effects(&mut pool)[..] else {
        panic!("c is dialled")
    };
    assert_eq!(closed, a);
    pool.dialed(c, START);
    assert_eq!(effects(&mut pool), [Effect::Grant(first, c), Effect::Grant(third, c)]);
    pool.give_up(first, START);
    assert_eq!(effects(&mut pool), []);
    pool.give_up(third, START);
    let [Effect::Close(_), Effect::Dial(b, "b")] = effects(&mut pool)[..] else { panic!("b is dialled") };
    pool.dial_failed(b, START);
    assert_eq!(effects(&mut pool), [Effect::Fail(second, Failure::DialFailed(b))]);
}

#[test]
fn who_gives_up_leaves_the_place_to_the_next_in_line() {
    let mut pool = pool(PoolOptions { in_all: 1, ..PoolOptions::default() });
    let a = connected(&mut pool, "a");
    let first = wait(&mut pool, "b");
    let second = wait(&mut pool, "c");
    pool.give_up(first, START);
    pool.give_up(first, START);
    assert_eq!((effects(&mut pool), pool.waiting(&"b")), (vec![], 0));
    pool.lost(a, START);
    let [Effect::Dial(c, "c")] = effects(&mut pool)[..] else { panic!("c is next") };
    // A dial that nobody waits for makes room, too.
    pool.give_up(second, START);
    dial(&mut pool, "d");
    assert_eq!(effects(&mut pool), [Effect::Close(c)]);
    assert!(!pool.dialed(c, START));
}

#[test]
fn too_many_do_not_wait() {
    let mut pool = pool(PoolOptions { max_waiting: 2, ..PoolOptions::default() });
    let (a, first) = dial(&mut pool, "a");
    wait(&mut pool, "a");
    for key in ["a", "b"] {
        assert_eq!(pool.open(&key, START), Decision::Refuse(Refusal::TooManyWait));
    }
    assert_eq!((effects(&mut pool), pool.len(), pool.stats().refused), (vec![], 1, 2));
    pool.dialed(a, START);
    assert_eq!(pool.open(&"a", START), Decision::Use(a), "who need not wait is not refused");
    assert_eq!(pool.open(&"b", START), Decision::Refuse(Refusal::TooManyWait), "two were not taken yet");
    pool.take(first);
    dial(&mut pool, "b");
}

#[test]
fn with_several_for_an_address_the_least_busy_is_used() {
    let mut pool = pool(PoolOptions { per_address: 3, ..PoolOptions::default() });
    let [a, b, c] = [(); 3].map(|()| connected(&mut pool, "a"));
    assert_eq!(pool.len(), 3, "one is dialled while none is free");
    pool.opened(a, START);
    pool.note_load(b, 10);
    assert_eq!([(); 3].map(|()| pool.open(&"a", START)), [c, b, a].map(Decision::Use));
    pool.closed(b, START);
    assert_eq!(pool.open(&"a", START), Decision::Use(b));
}

#[test]
fn a_free_one_is_used_before_another_is_dialled() {
    let mut pool = pool(PoolOptions { per_address: 3, ..PoolOptions::default() });
    let a = connected(&mut pool, "a");
    pool.closed(a, START);
    assert_eq!(pool.open(&"a", START), Decision::Use(a));
    let (b, _) = dial(&mut pool, "a");
    let (c, _) = dial(&mut pool, "a");
    // Now all that may be dialled are: the next one fits on the open one as well as anywhere.
    assert_eq!([b, c].map(|it| pool.state(it)), [Some(State::Dialing); 2]);
    let fourth = wait(&mut pool, "a");
    let Effect::Grant(first, on) = effects(&mut pool).remove(0) else { panic!("the first goes on") };
    assert!(first < fourth && on == a);
}

#[test]
fn who_comes_at_once_is_spread_over_what_is_dialled() {
    let mut pool = pool(PoolOptions { per_address: 2, ..PoolOptions::default() });
    let (a, _) = dial(&mut pool, "a");
    let (b, _) = dial(&mut pool, "a");
    for _ in 2..10 {
        wait(&mut pool, "a");
    }
    pool.dialed(b, START);
    assert_eq!(pool.logical(b), 5);
    pool.dialed(a, START);
    assert_eq!((pool.logical(a), pool.logical(b)), (5, 5));
}

#[test]
fn where_a_second_dial_fails_the_first_connection_is_used() {
    let mut pool = pool(PoolOptions { per_address: 2, ..PoolOptions::default() });
    let a = connected(&mut pool, "a");
    let (b, ticket) = dial(&mut pool, "a");
    pool.dial_failed(b, START);
    assert_eq!(effects(&mut pool), [Effect::Grant(ticket, a)]);
    assert_eq!(pool.len(), 1);
}

#[test]
fn another_one_for_an_address_does_not_cost_the_room_of_others() {
    let mut pool = pool(PoolOptions { per_address: 2, in_all: 2, ..PoolOptions::default() });
    let b = connected(&mut pool, "b");
    pool.closed(b, START);
    let a = connected(&mut pool, "a");
    assert_eq!(pool.open(&"a", START), Decision::Use(a));
    assert_eq!(pool.state(b), Some(State::Open));
}

#[test]
fn a_full_one_is_used_only_where_there_can_be_no_other() {
    let mut pool = pool(PoolOptions { per_address: 2, ..PoolOptions::default() });
    let a = connected(&mut pool, "a");
    pool.full(a, true, START);
    let b = connected(&mut pool, "a");
    for _ in 0..5 {
        assert_eq!(pool.open(&"a", START), Decision::Use(b));
    }
    pool.full(b, true, START);
    assert_eq!(pool.open(&"a", START), Decision::Use(a), "all the same");
    pool.full(b, false, START);
    assert_eq!(pool.open(&"a", START), Decision::Use(b));
}

#[test]
fn one_that_is_going_away_ends_with_its_last_and_is_followed_by_another() {
    let mut pool = pool(PoolOptions::default());
    let a = connected(&mut pool, "a");
    pool.going_away(a, START);
    assert_eq!((effects(&mut pool), pool.state(a)), (vec![], Some(State::Leaving)));
    let (b, _) = dial(&mut pool, "a");
    assert_eq!(pool.len(), 2, "it does not count for its address");
    pool.dialed(b, START);
    pool.opened(a, START);
    pool.closed(a, START);
    effects(&mut pool);
    pool.closed(a, START);
    assert_eq!(effects(&mut pool), [Effect::Close(a)]);
    let idle = connected(&mut pool, "b");
    pool.closed(idle, START);
    pool.going_away(idle, START);
    assert_eq!(effects(&mut pool), [Effect::Close(idle)], "it had none");
}

#[test]
fn going_away_takes_part_in_the_bound_of_all() {
    let mut pool = pool(PoolOptions { in_all: 1, ..PoolOptions::default() });
    let a = connected(&mut pool, "a");
    pool.going_away(a, START);
    wait(&mut pool, "a");
    assert_eq!(effects(&mut pool), []);
    pool.closed(a, START);
    let [Effect::Close(_), Effect::Dial(_, "a")] = effects(&mut pool)[..] else { panic!("it is dialled") };
}

#[test]
fn whoever_wants_to_stay_up_is_dialled_at_once_after_a_loss_and_then_with_pauses() {
    let mut pool = pool(PoolOptions::default());
    let a = connected(&mut pool, "a");
    pool.set_stay_up(&"a", true, START);
    let lost_at = START + 1_000 * MS;
    pool.lost(a, lost_at);
    let [Effect::Dial(mut again, "a")] = effects(&mut pool)[..] else { panic!("it is dialled at once") };
    assert_eq!(pool.cause(again), Some(Cause::StayUp));
    let mut now = lost_at;
    for bound in [100, 200, 400, 800] {
        pool.dial_failed(again, now);
        let due = pool.deadline().expect("it is dialled again");
        assert!(due - now < bound * MS, "{:?} of {bound} ms", due - now);
        assert_eq!(effects(&mut pool), []);
        now = due;
        pool.expire(now);
        let [Effect::Dial(next, "a")] = effects(&mut pool)[..] else { panic!("it is time") };
        again = next;
    }
    assert!(pool.dialed(again, now));
    assert_eq!(pool.deadline(), None, "it is not idle while it is wanted");
    pool.set_stay_up(&"a", false, now);
    assert_eq!(pool.deadline(), Some(now + Duration::from_secs(300)));
    pool.lost(again, now);
    assert_eq!((effects(&mut pool), pool.is_empty(), pool.deadline()), (vec![], true, None));
}

#[test]
fn a_use_does_not_wait_for_the_pause_of_those_that_stay_up() {
    let mut pool = pool(PoolOptions::default());
    pool.set_stay_up(&"a", true, START);
    let [Effect::Dial(a, "a")] = effects(&mut pool)[..] else { panic!("nothing was up") };
    pool.dial_failed(a, START);
    assert!(pool.deadline().is_some());
    let (b, _) = dial(&mut pool, "a");
    assert_eq!(pool.deadline(), None);
    pool.dialed(b, START);
    effects(&mut pool);
    pool.going_away(b, START);
    // Its ticket was not taken: it had no other use, and another one is dialled for that.
    let [Effect::Dial(c, "a"), Effect::Close(_)] = effects(&mut pool)[..] else { panic!("it waits again") };
    assert_eq!(pool.cause(c), Some(Cause::Use));
}

#[test]
fn a_peer_that_cuts_at_once_does_not_make_it_dial_in_a_loop() {
    let mut pool = pool(PoolOptions::default());
    pool.set_stay_up(&"a", true, START);
    let mut now = START;
    for _ in 0..20 {
        while let Some(at) = pool.deadline() {
            now = at;
            pool.expire(now);
        }
        let [Effect::Dial(a, "a")] = effects(&mut pool)[..] else { panic!("it is dialled") };
        pool.dialed(a, now);
        pool.lost(a, now);
    }
    assert!(now - START > Duration::from_secs(20), "{:?}", now - START);
}

#[test]
fn what_stays_up_waits_for_room_like_others() {
    let mut pool = pool(PoolOptions { in_all: 1, ..PoolOptions::default() });
    let a = connected(&mut pool, "a");
    pool.set_stay_up(&"b", true, START);
    assert_eq!(effects(&mut pool), []);
    let due = pool.deadline().expect("it asks again");
    assert!(due > START);
    pool.closed(a, due);
    let [Effect::Close(_), Effect::Dial(_, "b")] = effects(&mut pool)[..] else { panic!("b is dialled") };
}

#[test]
fn a_pool_that_is_closed_ends_with_its_last_logical_connection() {
    let mut pool = pool(PoolOptions { in_all: 3, ..PoolOptions::default() });
    let a = connected(&mut pool, "a");
    let (b, dialing) = dial(&mut pool, "b");
    let (c, granted) = dial(&mut pool, "c");
    let stranded = wait(&mut pool, "d");
    pool.dialed(c, START);
    pool.set_stay_up(&"e", true, START);
    effects(&mut pool);
    pool.close(START);
    let fail = |ticket| Effect::Fail(ticket, Failure::Closed);
    let close = Effect::Close;
    let expected = [fail(dialing), fail(granted), fail(stranded), close(b), close(c)];
    assert_eq!(effects(&mut pool), expected);
    assert_eq!(pool.open(&"a", START), Decision::Refuse(Refusal::Closed));
    pool.set_stay_up(&"a", true, START);
    assert_eq!((pool.state(a), pool.deadline()), (Some(State::Leaving), None));
    pool.closed(a, START);
    assert_eq!((effects(&mut pool), pool.is_empty()), (vec![close(a)], true));
}

#[test]
fn options_are_moved_into_their_range() {
    let options = PoolOptions {
        per_address: 0,
        in_all: 0,
        max_waiting: 0,
        reconnect_min: Duration::ZERO,
        reconnect_max: Duration::ZERO,
        ..PoolOptions::default()
    };
    let clamped = options.clamped();
    assert_eq!((clamped.per_address, clamped.in_all, clamped.max_waiting), (1, 1, 1));
    assert_eq!((clamped.reconnect_min, clamped.reconnect_max), (MS, MS));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn whatever_happens_the_rules_hold(input in prop::collection::vec(any::<u8>(), 3..300)) {
        live(&input);
    }
}
