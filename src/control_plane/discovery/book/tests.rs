//! What the book of host names promises.

use std::io;

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const EVERY_5: Option<Duration> = Some(Duration::from_secs(5));

fn ip(last: u8) -> IpAddr {
    [10, 0, 0, last].into()
}

fn unknown() -> Found {
    Err(io::Error::other("unknown"))
}

/// A book that has just begun to follow these names, and the time.
fn following(names: &[Wanted<'_>]) -> (Book, Instant) {
    let (mut book, now) = (Book::default(), Instant::now());
    book.follow(names.iter().copied(), now);
    (book, now)
}

impl Book {
    /// Looks the name up now.
    fn looked_up(&mut self, host: &str, found: Found, now: Instant) -> News {
        self.ask_now(host, now);
        self.ask(now);
        assert!(self.under_way.contains_key(host), "{host} is asked for");
        self.answer(host, found, now, 0.0).expect("news")
    }

    fn address(&self, host: &str) -> Option<IpAddr> {
        self.addresses().find(|(known, _)| *known == host).map(|(_, address)| address)
    }
}

#[test]
fn a_failed_look_up_keeps_the_last_address() {
    let (mut book, now) = following(&[("a", EVERY_5)]);
    let first = book.looked_up("a", Ok(vec![ip(1)]), now);
    assert_eq!((first.result, first.before, first.address), (LookupResult::Changed, None, Some(ip(1))));
    let failed = book.looked_up("a", unknown(), now);
    assert_eq!((failed.result, failed.address), (LookupResult::Failed, Some(ip(1))));
    assert_eq!(book.looked_up("a", Ok(Vec::new()), now).error.as_deref(), Some("the name has no address"));
    assert_eq!(book.address("a"), Some(ip(1)));
    let moved = book.looked_up("a", Ok(vec![ip(2)]), now);
    assert_eq!(
        (moved.result, moved.before, moved.address),
        (LookupResult::Changed, Some(ip(1)), Some(ip(2)))
    );
}

#[test]
fn the_begin_and_the_end_of_failing_are_told_apart_from_its_course() {
    let (mut book, now) = following(&[("a", EVERY_5)]);
    let found = [unknown(), unknown(), Ok(vec![ip(1)]), Ok(vec![ip(1)]), unknown(), Ok(vec![ip(1)])];
    let turned = found.map(|found| book.looked_up("a", found, now).turned);
    assert_eq!(turned, [true, false, true, false, true, true]);
}

#[test]
fn of_several_addresses_the_present_one_stays_while_it_is_among_them() {
    let v6: IpAddr = [0, 0, 0, 0, 0, 0, 0, 1].into();
    assert_eq!(choose(None, &[v6, ip(1), ip(2)]), ip(1), "IPv4 is what most servers listen on");
    assert_eq!(choose(Some(ip(2)), &[ip(1), ip(2)]), ip(2));
    assert_eq!(choose(Some(v6), &[ip(1), v6]), v6);
    assert_eq!(choose(Some(ip(3)), &[ip(1), ip(2)]), ip(1));
    assert_eq!(choose(Some(ip(3)), &[v6]), v6);
}

#[test]
fn a_name_is_looked_up_again_after_its_interval_and_one_look_up_at_a_time() {
    let (mut book, now) = following(&[("a", EVERY_5)]);
    assert_eq!(book.next(), Some(now));
    assert_eq!(book.ask(now), ["a".into()]);
    assert_eq!(book.ask(now + 60 * SECOND), [], "its answer is still to come");
    book.answer("a", Ok(vec![ip(1)]), now, 0.0);
    assert_eq!(book.next(), Some(now + 5 * SECOND));
    assert_eq!(book.ask(now + 4 * SECOND), []);
    assert_eq!(book.ask(now + 5 * SECOND), ["a".into()]);
    for (roll, factor) in [(1.0, 1.1), (-1.0, 0.9)] {
        book.answer("a", Ok(vec![ip(1)]), now, roll);
        assert_eq!(book.next(), Some(now + (5 * SECOND).mul_f64(factor)));
        book.ask(now + 6 * SECOND);
    }
}

#[test]
fn a_name_that_several_want_is_looked_up_at_the_shortest_interval() {
    let (mut book, now) = following(&[("a", None), ("a", Some(3 * SECOND)), ("a", EVERY_5)]);
    book.looked_up("a", Ok(vec![ip(1)]), now);
    assert_eq!(book.next(), Some(now + 3 * SECOND));
}

#[test]
fn where_nothing_is_looked_up_again_a_name_is_until_it_has_an_address() {
    let (mut book, now) = following(&[("a", None)]);
    book.looked_up("a", unknown(), now);
    assert_eq!(book.next(), Some(now + UNTIL_RESOLVED));
    book.looked_up("a", Ok(vec![ip(1)]), now);
    assert_eq!(book.next(), None);
}

#[test]
fn no_interval_floods_the_name_server() {
    let (mut book, now) = following(&[("a", Some(Duration::from_nanos(1)))]);
    book.looked_up("a", Ok(vec![ip(1)]), now);
    assert_eq!(book.next(), Some(now + SOONEST));
}

#[test]
fn a_resolver_that_does_not_answer_is_waited_for_by_a_bounded_number() {
    let names: Vec<String> = (0..1000).map(|n| format!("host-{n}")).collect();
    let (mut book, now) = following(&names.iter().map(|name| (&**name, EVERY_5)).collect::<Vec<_>>());
    let asked = book.ask(now);
    assert_eq!(asked.len(), AT_A_TIME);
    assert_eq!(book.next(), Some(now + PATIENCE), "nothing to do before one is overdue");
    let late = book.give_up_overdue(now + PATIENCE);
    assert_eq!(late.len(), AT_A_TIME);
    assert!(late.iter().all(|news| news.error.as_deref().is_some_and(|error| error.contains("within 5s"))));
    assert_eq!(
        (book.ask(now + 3600 * SECOND).len(), book.next()),
        (0, None),
        "an hour later they still hold on"
    );
    assert_eq!(book.give_up_overdue(now + 3600 * SECOND), [], "that they are late was told");
    book.answer(&asked[0], unknown(), now + 3600 * SECOND, 0.0);
    assert_eq!(book.ask(now + 3600 * SECOND).len(), 1);
}

#[test]
fn what_has_waited_longest_is_asked_for_first() {
    let (mut book, now) = following(&[("early", EVERY_5), ("late", EVERY_5)]);
    book.ask_now("early", now - 2 * SECOND);
    book.ask_now("late", now - SECOND);
    assert_eq!(book.ask(now), ["early".into(), "late".into()]);
}

#[test]
fn a_late_answer_is_taken_and_a_late_failure_is_told_once() {
    let (mut book, now) = following(&[("a", EVERY_5)]);
    book.ask(now);
    let late = book.give_up_overdue(now + PATIENCE);
    assert!(matches!(&late[..], [News { result: LookupResult::Failed, turned: true, .. }]));
    let found = book.answer("a", Ok(vec![ip(1)]), now + 2 * PATIENCE, 0.0).expect("news");
    assert!(found.turned && found.result == LookupResult::Changed);
    book.ask_now("a", now);
    book.ask(now);
    book.give_up_overdue(now + PATIENCE);
    assert_eq!(book.answer("a", unknown(), now + 2 * PATIENCE, 0.0), None);
    assert_eq!(book.address("a"), Some(ip(1)));
}

#[test]
fn what_a_reload_leaves_alone_keeps_its_address_and_its_turn() {
    let (mut book, now) = following(&[("stays", EVERY_5), ("goes", EVERY_5), ("hurries", EVERY_5)]);
    for host in ["stays", "goes", "hurries"] {
        book.looked_up(host, Ok(vec![ip(1)]), now);
    }
    let later = now + SECOND;
    book.follow([("stays", EVERY_5), ("comes", EVERY_5), ("hurries", Some(SECOND))].into_iter(), later);
    assert_eq!(["stays", "goes", "hurries"].map(|host| book.address(host)), [Some(ip(1)), None, Some(ip(1))]);
    assert_eq!(book.ask(later), ["comes".into()]);
    assert_eq!(book.ask(later + SECOND), ["hurries".into()]);
    assert_eq!(book.ask(now + 5 * SECOND), ["stays".into()]);
}

#[test]
fn an_answer_for_a_name_that_nobody_wants_any_more_is_no_news() {
    let (mut book, now) = following(&[("a", EVERY_5)]);
    book.ask(now);
    book.follow(std::iter::empty(), now);
    // Wanted again while the first look-up is under way: there is no second one beside it.
    book.follow([("a", EVERY_5)].into_iter(), now);
    assert_eq!(book.ask(now), []);
    book.follow(std::iter::empty(), now);
    assert_eq!(book.answer("a", Ok(vec![ip(1)]), now, 0.0), None);
    assert_eq!((book.addresses().count(), book.next()), (0, None));
}

proptest! {
    /// Whatever the name server says, and however late: no name loses its address, the moment for the next step is never
    /// forgotten, and what is told adds up to what is known.
    #[test]
    fn a_name_never_loses_its_address_and_is_never_forgotten(
        steps in proptest::collection::vec((0_u8..3, 0_u64..8_000, 0_u8..4), 1..80),
    ) {
        let names = [("a", EVERY_5), ("b", Some(SECOND)), ("c", None)];
        let (mut book, mut now) = following(&names);
        let mut known: HashMap<Box<str>, IpAddr> = HashMap::new();
        for (which, milliseconds, answer) in steps {
            now += Duration::from_millis(milliseconds);
            let mut news = book.give_up_overdue(now);
            let host = names[usize::from(which)].0;
            book.ask(now);
            if book.under_way.contains_key(host) {
                let found = if answer == 0 { unknown() } else { Ok(vec![ip(answer), ip(answer + 1)]) };
                news.extend(book.answer(host, found, now, 0.5));
            }
            for News { host, result, before, address, .. } in news {
                prop_assert_eq!(before, known.get(&host).copied());
                prop_assert_eq!(result == LookupResult::Changed, before != address);
                prop_assert!(before.is_none() || address.is_some());
                known.extend(address.map(|address| (host, address)));
            }
            let all: HashMap<Box<str>, IpAddr> =
                book.addresses().map(|(host, address)| (host.into(), address)).collect();
            prop_assert_eq!(&all, &known);
            let held_up = book.under_way.keys().filter(|host| book.names[*host].given_up).count();
            prop_assert!(book.next().is_some() || held_up > 0);
        }
    }
}
