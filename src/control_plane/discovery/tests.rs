//! What looking host names up promises, with a resolver that follows a script.

use std::io;
use std::sync::Mutex;

use super::*;
use crate::control_plane::config;
use crate::control_plane::health::Board;
use crate::telemetry::{Label as _, LookupResult, Telemetry};

fn with_backends(backends: &str) -> Config {
    let yaml = format!(
        "listeners: {{web: {{address: '127.0.0.1:0'}}}}\nupstreams: {{app: {{backends: [{backends}]}}}}\n"
    );
    config::parse("test.yaml", &yaml, &|_| None).expect("the file is valid").0
}

fn found(last: u8) -> resolver::Found {
    Ok(vec![[10, 0, 0, last].into()])
}

/// The look-ups that have begun, and were not answered yet.
type Asked = Arc<Mutex<Vec<Reply>>>;

fn scripted() -> (Discovery, Asked) {
    let asked = Asked::default();
    let shared = Arc::clone(&asked);
    (Discovery::with(Arc::new(move |reply| shared.lock().expect("no panic").push(reply))), asked)
}

/// Answers the look-ups that have begun by the name.
fn answer(asked: &Asked, found: impl Fn(&str) -> resolver::Found) -> usize {
    let replies: Vec<Reply> = asked.lock().expect("no panic").drain(..).collect();
    let count = replies.len();
    for reply in replies {
        let found = found(reply.host());
        reply.answer(found);
    }
    count
}

fn address(discovery: &Discovery, text: &str) -> Option<SocketAddr> {
    discovery.addresses().of(&BackendAddress::parse(text).expect("an address"))
}

#[tokio::test(start_paused = true)]
async fn all_names_are_asked_for_before_the_first_answer_and_each_once() {
    let config = with_backends("'one:80', 'two:80', 'one:81', '127.0.0.1:82'");
    let (mut discovery, asked) = scripted();
    let both = async {
        while asked.lock().expect("no panic").len() < 2 {
            tokio::task::yield_now().await;
        }
        answer(&asked, |host| found(host.len() as u8))
    };
    let ((), count) = tokio::join!(discovery.look_up_all(&config), both);
    assert_eq!(count, 2);
    for (text, place) in
        [("one:80", "10.0.0.3:80"), ("one:81", "10.0.0.3:81"), ("127.0.0.1:82", "127.0.0.1:82")]
    {
        assert_eq!(address(&discovery, text).map(|address| address.to_string()).as_deref(), Some(place));
    }
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_does_not_answer_holds_a_start_up_for_five_seconds_and_no_longer() {
    let config = with_backends("'one:80', 'two:80'");
    let (mut discovery, asked) = scripted();
    let begun = Instant::now();
    let one = async {
        while asked.lock().expect("no panic").len() < 2 {
            tokio::task::yield_now().await;
        }
        let stuck = asked.lock().expect("no panic").pop().expect("two were asked for");
        answer(&asked, |_| found(1));
        stuck
    };
    let ((), stuck) = tokio::join!(discovery.look_up_all(&config), one);
    assert_eq!(begun.elapsed(), PATIENCE);
    let failed: Vec<_> = discovery.take_news().into_iter().filter(|news| news.error.is_some()).collect();
    assert!(matches!(&failed[..], [news] if *news.host == *stuck.host()), "{failed:?}");
    // Also when it was asked for long ago, and has not come back.
    let begun = Instant::now();
    let other = async {
        while answer(&asked, |_| found(1)) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(discovery.look_up_all(&config), other);
    assert_eq!(begun.elapsed(), PATIENCE);
    let host = stuck.host().to_owned();
    discovery.take_news();
    stuck.answer(found(2));
    discovery.news().await;
    assert_eq!(address(&discovery, &format!("{host}:80")), Some(([10, 0, 0, 2], 80).into()));
}

#[tokio::test(start_paused = true)]
async fn changes_that_come_together_are_handed_over_together() {
    let config = with_backends("'one:80', 'two:80', 'three:80'");
    let (mut discovery, asked) = scripted();
    discovery.follow(&config);
    let answers = async {
        while asked.lock().expect("no panic").len() < 3 {
            tokio::task::yield_now().await;
        }
        let last = asked.lock().expect("no panic").pop().expect("three were asked for");
        answer(&asked, |_| found(1));
        tokio::time::sleep(GATHER / 2).await;
        last.answer(found(1));
    };
    tokio::join!(discovery.news(), answers);
    assert_eq!(discovery.take_news().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn news_that_is_not_waited_for_to_the_end_is_not_lost() {
    let config = with_backends("'one:80'");
    let (mut discovery, asked) = scripted();
    discovery.follow(&config);
    for _ in 0..20 {
        let pause = tokio::time::sleep(GATHER / 10);
        tokio::select! {
            () = discovery.news() => break,
            () = pause => {}
        }
        answer(&asked, |_| found(1));
    }
    assert_eq!(discovery.take_news().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_breaks_off_is_a_failure_and_not_a_silence() {
    let config = with_backends("'one:80'");
    let mut discovery = Discovery::with(Arc::new(drop));
    discovery.look_up_all(&config).await;
    let news = discovery.take_news();
    assert!(matches!(&news[..], [News { result: LookupResult::Failed, .. }]), "{news:?}");
}

#[tokio::test]
async fn what_a_look_up_finds_is_counted_and_shown_for_each_backend_of_the_name() {
    let config = with_backends("'one:80', 'one:81', 'two:80', '127.0.0.1:82'");
    let (telemetry, board) = (Telemetry::new(1), Board::default());
    let names = ["backend-1", "backend-2", "backend-3", "backend-4"];
    let series = names.map(|name| telemetry.backend("app", name));
    let mut discovery = Discovery::with(Arc::new(|reply: Reply| match reply.host() {
        "one" => reply.answer(found(1)),
        _ => reply.answer(Err(io::Error::other("unknown"))),
    }));
    discovery.look_up_all(&config).await;
    discovery.look_up_all(&config).await;
    tell(&discovery.take_news(), &config, &telemetry, &board);
    let counts: [Vec<u64>; 4] =
        series.map(|series| LookupResult::ALL.iter().map(|result| series.lookups.get(*result)).collect());
    assert_eq!(counts, [vec![1, 0, 1], vec![1, 0, 1], vec![0, 2, 0], vec![0, 0, 0]], "ok, failed, changed");
    let words = names.map(|name| board.last_lookup("app", name).map(|lookup| lookup.words()));
    let wanted =
        ["one is 10.0.0.1", "one is 10.0.0.1", "cannot resolve two: unknown"].map(|words| Some(words.into()));
    assert_eq!(words[..3], wanted);
    assert_eq!(words[3], None, "an address needs no look-up");
    forget_others(&with_backends("'one:80', '127.0.0.1:81'"), &board);
    let kept = names.map(|name| board.last_lookup("app", name).is_some());
    assert_eq!(kept, [true, false, false, false]);
}

#[tokio::test]
async fn the_system_knows_localhost() {
    let config = with_backends("'localhost:80'");
    let mut discovery = Discovery::new();
    discovery.look_up_all(&config).await;
    let address = address(&discovery, "localhost:80").expect("it has an address");
    assert!(address.ip().is_loopback());
}
