use super::*;

fn process(pid: u32, parent: u32, cpu_ms: u64) -> Seen {
    Seen {
        pid,
        parent: Some(parent),
        started: 1000 + u64::from(pid),
        cpu: Duration::from_millis(cpu_ms),
        memory_bytes: 10,
        disk: Traffic { inward: cpu_ms, outward: 1 },
    }
}

fn cpu_ms(ledger: &Ledger) -> u128 {
    ledger.used.cpu.as_millis()
}

#[test]
fn children_and_their_children_count_and_strangers_do_not() {
    let mut ledger = Ledger::default();
    let seen = vec![
        process(1, 0, 99_999),
        process(10, 1, 100),
        process(11, 10, 20),
        process(12, 11, 3),
        process(13, 1, 9_999),
    ];
    assert_eq!(ledger.take_in(10, seen), Some(30));
    assert_eq!(cpu_ms(&ledger), 123);
}

#[test]
fn what_an_ended_child_used_stays_in_the_sum() {
    let mut ledger = Ledger::default();
    ledger.take_in(10, vec![process(10, 1, 100), process(11, 10, 50)]);
    ledger.take_in(10, vec![process(10, 1, 110)]);
    assert_eq!(cpu_ms(&ledger), 160);
    assert_eq!(ledger.used.disk, Traffic { inward: 160, outward: 2 });
    let mut again = process(11, 10, 7);
    again.started += 60;
    ledger.take_in(10, vec![process(10, 1, 110), again]);
    assert_eq!(cpu_ms(&ledger), 167, "a new process with the pid of an old one starts from nothing");
}

#[test]
fn another_process_with_the_pid_of_the_root_is_not_the_root() {
    let mut ledger = Ledger::default();
    ledger.take_in(10, vec![process(10, 1, 100)]);
    assert_eq!(ledger.take_in(10, vec![]), None);
    let mut another = process(10, 1, 5);
    another.started += 60;
    assert_eq!(ledger.take_in(10, vec![another]), None);
    assert_eq!(cpu_ms(&ledger), 100);
}

#[test]
fn a_circle_of_parents_ends() {
    let mut ledger = Ledger::default();
    assert_eq!(ledger.take_in(10, vec![process(10, 11, 1), process(11, 10, 1)]), Some(20));
}

#[test]
fn this_process_is_seen() {
    let reading = ProcessTree::new(std::process::id(), Path::new("/"), 2).unwrap().read().unwrap();
    assert!(reading.memory_bytes.is_some_and(|bytes| bytes > 0), "{reading:?}");
}

#[test]
fn a_process_is_seen_at_every_look_and_its_children_come_and_go() {
    let mut target = ProcessTree::new(std::process::id(), Path::new("/"), 2).unwrap();
    target.read().unwrap();
    let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let known = |target: &ProcessTree, child| target.ledger.known.keys().any(|(pid, _)| *pid == child);
    let look = |target: &mut ProcessTree| {
        target.search_due = Instant::now();
        target.read().unwrap();
        // Between two searches those are looked at that are known.
        target.search_due = Instant::now() + Duration::from_secs(600);
        target.read().unwrap();
    };
    look(&mut target);
    assert!(known(&target, child.id()));
    child.kill().unwrap();
    child.wait().unwrap();
    target.read().unwrap();
    assert!(!known(&target, child.id()));
    look(&mut target);
    assert!(target.system.process(Pid::from_u32(child.id())).is_none(), "it is forgotten");
}

#[test]
fn a_process_that_never_was_is_gone() {
    // Above the largest process id that Linux gives (PID_MAX_LIMIT).
    let mut none = ProcessTree::new(5_000_000, Path::new("/"), 2).unwrap();
    assert!(matches!(none.read(), Err(ReadError::Gone { pid: 5_000_000 })));
}

#[test]
fn a_parent_is_found_whatever_the_name_of_the_process() {
    assert_eq!(parent(b"42 (sh) S 7 42 42 0 -1"), Some(7));
    assert_eq!(parent(b"42 (a) R 1 (b)) S 7 42 42 0 -1"), Some(7));
    for stat in [&b""[..], b"42", b"42 (sh)", b"42 (sh) S", b"42 (sh) S x", b"42 (sh) S -1", b")"] {
        assert_eq!(parent(stat), None, "{}", String::from_utf8_lossy(stat));
    }
}
