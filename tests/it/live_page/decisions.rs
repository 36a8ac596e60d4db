//! Single requests on the page: each is explained when somebody asks, and found by what is known of it.

use super::{Fleet, open};
use crate::harness::browser::Browser;

/// What the first decision that has been opened tells.
const EXPLANATION: &str = "document.querySelector('.explanation:not([hidden])').innerText";

/// The button that opens the decision of a request that was rescued from backend-1.
const RESCUED: &str = "[...document.querySelectorAll('#decisions > li')].find((item) => \
                       item.innerText.includes('backend-1 was picked'))?.querySelector('button.more')";

/// How many decisions are shown.
const COUNT: &str = "document.querySelectorAll('#decisions > li').length";

#[track_caller]
fn seek(browser: &mut Browser, text: &str) {
    browser.eval(
        "(() => { const field = document.querySelector('#sought'); field.value = ''; field.focus(); })()",
    );
    browser.type_in(text);
    browser.press("Enter");
}

#[test]
fn a_decision_is_explained_when_it_is_opened_and_found_again_by_its_request_id() {
    let Some(mut browser) = Browser::start() else { return };
    let mut fleet = Fleet::start();
    open(&mut browser, &fleet.page());
    fleet.backends[0].kill();
    browser.wait_for(RESCUED);
    browser.eval(&format!("{RESCUED}.focus()"));
    browser.press("Enter");
    browser.wait_for("document.activeElement.getAttribute('aria-expanded') === 'true'");
    let told = browser.text(EXPLANATION);
    for part in [
        "web → route default → app (round robin)",
        "1. backend-1",
        "2. backend-",
        "wait ",
        "Backends before try ",
        "tried before",
        "✓ picked",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    let bars = "document.querySelectorAll('.explanation .waterfall').length";
    assert!(browser.eval(bars).as_u64() >= Some(2), "{told}");
    let inside = browser.eval(
        "[...document.querySelectorAll('.waterfall rect')].every((one) => one.x.baseVal.value >= 0 \
         && one.x.baseVal.value + one.width.baseVal.value <= 1000.001)",
    );
    assert_eq!(inside, true);
    // The list stands still below what is being read, though more has happened.
    browser.eval("window.first = document.querySelector('#decisions > li'); true");
    fleet.backends[0].revive();
    browser
        .wait_for("document.querySelector('tr[data-key=\"app/backend-1\"] .state').innerText !== '✕ down'");
    assert_eq!(browser.text(EXPLANATION), told);
    assert_eq!(browser.eval("document.querySelector('#decisions > li') === window.first"), true);
    assert_eq!(browser.eval("document.querySelector('#still').hidden"), false);
    browser.press("Enter");
    browser.wait_for("document.querySelector('.explanation:not([hidden])') === null");
    let id = told.lines().skip_while(|line| *line != "Request").nth(1).expect("a request id").to_owned();
    seek(&mut browser, &id);
    browser.wait_for(&format!("{COUNT} === 1"));
    seek(&mut browser, "no-such-request");
    browser.wait_for("!document.querySelector('#no-decisions').hidden");
    let none = browser.text("document.querySelector('#no-decisions').innerText");
    assert!(none.contains("None that is remembered fits"), "{none}");
    seek(&mut browser, "app/backend-1");
    browser.wait_for(&format!("{COUNT} > 0"));
    browser.eval(&format!("location.hash = 'why={id}'"));
    browser.wait_for(&format!("{COUNT} === 1 && document.querySelector('#sought').value === '{id}'"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_link_to_the_page_looks_for_what_it_names() {
    let Some(mut browser) = Browser::start() else { return };
    let fleet = Fleet::start();
    open(&mut browser, &format!("{}#why=no-such-request", fleet.page()));
    browser.wait_for("document.querySelector('#no-decisions').innerText.includes('None that is remembered')");
    assert_eq!(browser.eval("document.querySelector('#sought').value"), "no-such-request");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
