//! The live page, in a browser: what happens is seen on it, by everybody, and only who may can change anything.

mod access;
mod accessibility;
mod decisions;
mod pure;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::harness::balancer::Balancer;
use crate::harness::browser::Browser;
use crate::harness::setup::Setup;
use crate::harness::wire::Wire;
use crate::harness::{free_address, pause};
use crate::real_failures::process::Process;

/// How soon a backend that is killed must be red.
const RED_WITHIN: f64 = 2000.0;

/// Three backends that can be killed, and clients that ask all the time.
struct Fleet {
    backends: Vec<Process>,
    balancer: Balancer,
    done: Arc<AtomicBool>,
}

impl Fleet {
    fn start() -> Self {
        Self::with(|setup| setup)
    }

    fn with(more: impl FnOnce(Setup) -> Setup) -> Self {
        let names = ["backend-1", "backend-2", "backend-3"];
        let backends = names.map(|name| Process::start(name, free_address(), &[]));
        let setup = Setup::at(backends.iter().map(|backend| backend.address)).upstream("health: tcp");
        let balancer = more(setup).start();
        let done = Arc::<AtomicBool>::default();
        ask_all_the_time(balancer.address, Arc::clone(&done));
        Self { backends: backends.into(), balancer, done }
    }

    fn page(&self) -> String {
        format!("http://{}/", self.balancer.admin)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
    }
}

/// Sends a request every few milliseconds, whatever becomes of it.
fn ask_all_the_time(address: SocketAddr, done: Arc<AtomicBool>) {
    thread::spawn(move || {
        while !done.load(Ordering::Relaxed) {
            let Ok(stream) = std::net::TcpStream::connect(address) else { return };
            let mut client = Wire::new(stream);
            let request = "GET / HTTP/1.1\r\nhost: example.org\r\n\r\n";
            while !done.load(Ordering::Relaxed) && client.try_exchange(request).is_some() {
                pause(Duration::from_millis(10));
            }
        }
    });
}

/// What a row of the table says: `row("backend-1", ".rps")`.
fn cell(backend: &str, selector: &str) -> String {
    format!("document.querySelector('tr[data-key=\"app/{backend}\"] {selector}').innerText")
}

/// Opens the page and waits until it shows traffic.
#[track_caller]
fn open(browser: &mut Browser, page: &str) {
    browser.open(page);
    browser.wait_for("document.querySelector('#connection')?.dataset.is === 'live'");
    for backend in ["backend-1", "backend-2", "backend-3"] {
        browser.wait_for(&format!("Number({}) > 0", cell(backend, ".rps")));
    }
}

#[test]
fn the_graphs_move_and_nothing_is_fetched_from_elsewhere() {
    let Some(mut browser) = Browser::start() else { return };
    let fleet = Fleet::start();
    open(&mut browser, &fleet.page());
    let shape = "[...document.querySelectorAll('.curves path')].map((path) => path.getAttribute('d'))";
    let shapes = |browser: &mut Browser| browser.eval(shape).as_array().cloned().unwrap_or_default();
    // Three backends in rps and share; the workers' CPU; four classes; two quantiles; four kinds of errors.
    browser.wait_for(&format!("{shape}.length === 3 + 3 + 1 + 4 + 2 + 4"));
    let before = shapes(&mut browser);
    browser.wait_for(&format!("{shape}[0] !== {}", before[0]));
    let seconds = |curve: &Value| curve.as_str().map_or(0, |curve| curve.split(['M', 'L']).count());
    browser.wait_for(&format!("{shape}[0].split(/[ML]/).length > {}", seconds(&before[0]) + 1));
    assert_eq!(browser.complaints(), Vec::<String>::new());
    let elsewhere: Vec<String> =
        browser.asked_for().into_iter().filter(|address| !address.starts_with(&fleet.page())).collect();
    assert_eq!(elsewhere, Vec::<String>::new());
}

#[test]
fn a_backend_that_is_killed_turns_red_and_the_page_tells_why_and_that_no_client_noticed() {
    let Some(mut browser) = Browser::start() else { return };
    let mut fleet = Fleet::start();
    open(&mut browser, &fleet.page());
    let red = "document.querySelector('tr[data-key=\"app/backend-1\"]').className === 'of-down'";
    let mut took = Vec::new();
    // The best of three: what else the machine does is no fault of the page.
    for _ in 0..3 {
        let watch = format!(
            "window.seen = new Promise((resolve) => {{ const begin = performance.now(); const look = () => {red} ? \
             resolve(performance.now() - begin) : setTimeout(look, 5); look(); }}); true"
        );
        browser.eval(&watch);
        fleet.backends[0].kill();
        took.push(browser.eval("window.seen").as_f64().expect("a number"));
        fleet.backends[0].revive();
        browser.wait_for(&format!("{} === '● up'", cell("backend-1", ".state")));
        if took.iter().any(|took| *took <= RED_WITHIN) {
            break;
        }
    }
    assert!(took.iter().any(|took| *took <= RED_WITHIN), "red after {took:?} ms");
    let transitions = browser.text("document.querySelector('#transitions').innerText");
    assert!(transitions.contains("✕ down") && transitions.contains("refused"), "{transitions}");
    browser.wait_for("document.querySelector('#announced').innerText.includes('backend-1 is up')");
    let story = browser.text("document.querySelector('#story').innerText");
    assert!(story.contains("All 3 backends are up.") && story.contains("No request failed"), "{story}");
    browser.wait_for("document.querySelector('#decisions').innerText.includes('backend-1 was picked')");
    // The lane shows the whole story: up, down, perhaps a slow start, and up again.
    let lane = browser.text("document.querySelector('.lanes li svg').getAttribute('aria-label')");
    assert!(lane.contains("backend-1: up from") && lane.contains("down from"), "{lane}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_backend_that_joins_is_on_the_page_and_one_that_goes_is_not() {
    let Some(mut browser) = Browser::start() else { return };
    let fleet = Fleet::start();
    open(&mut browser, &fleet.page());
    let fourth = Process::start("backend-4", free_address(), &[]);
    let rows = "document.querySelectorAll('tr[data-key^=\"app/\"]').length";
    for change in [vec!["add", "app", &fourth.address.to_string()], vec!["remove", "app/backend-2"]] {
        let said = fleet.balancer.ctl(&change);
        assert!(said.status.success(), "{said:?}");
        if change[0] == "add" {
            browser.wait_for(&format!("{rows} === 4"));
            browser.wait_for(&format!("Number({}) > 0", cell("backend-4", ".rps")));
        }
    }
    browser.wait_for(&format!("{rows} === 3"));
    browser.wait_for("document.querySelector('tr[data-key=\"app/backend-2\"]') === null");
    browser.wait_for(&format!("Number({}) > 0", cell("backend-4", ".rps")));
    browser.wait_for("document.querySelector('#connection').dataset.is === 'live'");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn the_page_says_when_the_balancer_does_not_answer_and_goes_on_when_it_does() {
    let Some(mut browser) = Browser::start() else { return };
    let fleet = Fleet::start();
    open(&mut browser, &fleet.page());
    fleet.balancer.freeze();
    browser.wait_for("document.querySelector('#connection').dataset.is === 'lost'");
    let said = browser.text("document.querySelector('#connection').innerText");
    assert!(said.contains("no answer from the balancer since"), "{said}");
    fleet.balancer.signal(rustix::process::Signal::CONT);
    browser.wait_for("document.querySelector('#connection').dataset.is === 'live'");
}

#[test]
fn an_instant_is_looked_at_by_pointing_and_by_the_keys() {
    let Some(mut browser) = Browser::start() else { return };
    let fleet = Fleet::start();
    open(&mut browser, &fleet.page());
    browser.wait_for("document.querySelector('.curves path').getAttribute('d').split('L').length > 3");
    browser.eval("document.querySelector('.axis-bar').focus()");
    let slider = "Number(document.querySelector('.axis-bar').getAttribute('aria-valuenow'))";
    assert_eq!(browser.eval(slider), 0);
    browser.press("Home");
    browser.wait_for(&format!("{slider} < 0"));
    let told = browser.text("document.querySelector('.axis-bar').getAttribute('aria-valuetext')");
    assert!(told.contains(" ago. backend-1 up"), "{told}");
    let shown = "[...document.querySelectorAll('.plot > .cursor')].filter((line) => line.getAttribute('visibility') === 'visible').length";
    assert_eq!(browser.eval(shown), 6, "in every graph");
    browser.press("ArrowRight");
    browser.press("Escape");
    browser.wait_for(&format!("{slider} === 0 && {shown} === 0"));
    let place = browser.eval(
        "(() => { const at = document.querySelector('.plot'); at.scrollIntoView({ block: 'center' }); \
         const box = at.getBoundingClientRect(); return [box.left + box.width - 30, box.top + 40]; })()",
    );
    let moved =
        serde_json::json!({ "type": "mouseMoved", "x": place[0], "y": place[1], "pointerType": "mouse" });
    browser.call("Input.dispatchMouseEvent", moved);
    browser.wait_for(&format!("{shown} === 6"));
    let said = browser.text("document.querySelector('#instant').innerText");
    assert!(said.starts_with("at "), "{said}");
}
