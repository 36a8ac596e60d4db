//! Who may change something: people on this host by mouse and keyboard, others with the token, and nobody else.

use std::net::{IpAddr, SocketAddr};

use super::{Fleet, cell, open};
use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::browser::Browser;
use crate::harness::own_network::own_network;
use crate::harness::setup::Setup;
use crate::harness::wire::{Message, Wire};

const TOKEN: &str = "correct-horse-battery";

/// Asks for a change as from another host.
#[track_caller]
fn post(balancer: &Balancer, from: IpAddr, verb: &str, fields: &str) -> Message {
    let address = SocketAddr::new(from, balancer.admin.port());
    let body = "{\"weight\": 7}";
    let request = format!(
        "POST /api/v1/upstreams/app/backends/backend-1/{verb} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n{fields}\r\n{body}",
        body.len()
    );
    Wire::connect(address).exchange(request)
}

fn state(balancer: &Balancer) -> (String, u64) {
    let answer = balancer.ask_admin("/api/v1/upstreams/app");
    let upstream: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    let backend = &upstream["backends"][0];
    (backend["state"].as_str().unwrap_or_default().to_owned(), backend["weight"].as_u64().unwrap_or_default())
}

#[test]
fn a_stranger_cannot_change_anything_without_the_token_and_can_with_it() {
    let Some(stranger) =
        own_network("live_page::access::a_stranger_cannot_change_anything_without_the_token_and_can_with_it")
    else {
        return;
    };
    let backend = Backend::saying("ok");
    let admin = format!("admin: {{ address: \"0.0.0.0:0\", token: {TOKEN} }}");
    let balancer = Setup::over([&backend]).top(&admin).start();
    for fields in ["", "authorization: Bearer wrong-horse-battery\r\n", "x-forwarded-for: 127.0.0.1\r\n"] {
        for verb in ["drain", "ready", "weight"] {
            let answer = post(&balancer, stranger, verb, fields);
            assert_eq!(answer.status(), 401, "{verb} with {fields:?}: {}", answer.text());
            assert_eq!(answer.head.field("www-authenticate"), Some("Bearer"));
            assert!(answer.text().contains("admin.token"), "{}", answer.text());
        }
    }
    assert_eq!(state(&balancer), ("up".to_owned(), 1), "nothing has changed");
    let token = format!("authorization: Bearer {TOKEN}\r\n");
    for (verb, after) in
        [("drain", ("draining", 1)), ("ready", ("slow_start", 1)), ("weight", ("slow_start", 7))]
    {
        let answer = post(&balancer, stranger, verb, &token);
        assert_eq!(answer.status(), 200, "{verb}: {}", answer.text());
        assert_eq!(state(&balancer), (after.0.to_owned(), after.1));
    }
    let foreign = "origin: https://example.org\r\n";
    assert_eq!(post(&balancer, stranger, "drain", foreign).status(), 401, "a page of another site");
    assert_eq!(
        post(&balancer, stranger, "drain", &[&token, foreign].concat()).status(),
        200,
        "which knows it"
    );
}

#[test]
fn without_a_token_in_the_configuration_strangers_are_told_what_to_configure() {
    let Some(stranger) = own_network(
        "live_page::access::without_a_token_in_the_configuration_strangers_are_told_what_to_configure",
    ) else {
        return;
    };
    let backend = Backend::saying("ok");
    let balancer = Setup::over([&backend]).top("admin: { address: \"0.0.0.0:0\" }").start();
    let answer = post(&balancer, stranger, "drain", "");
    assert_eq!(answer.status(), 403);
    assert!(answer.text().contains("configure `admin.token`"), "{}", answer.text());
    assert_eq!(post(&balancer, IpAddr::from([127, 0, 0, 1]), "drain", "").status(), 200);
}

/// Presses Tab until what has the focus is called so.
#[track_caller]
fn tab_to(browser: &mut Browser, name: &str) {
    let focused = "document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText";
    let reached = (0..60).any(|_| {
        browser.press("Tab");
        browser.eval(focused) == name
    });
    assert!(reached, "{name} is reached by the keyboard");
}

#[test]
fn a_backend_is_drained_brought_back_and_weighed_by_keyboard_alone() {
    let Some(mut browser) = Browser::start() else { return };
    let fleet = Fleet::start();
    open(&mut browser, &fleet.page());
    tab_to(&mut browser, "Drain backend-2");
    browser.press("Enter");
    browser.wait_for(&format!("{} === '◐ draining'", cell("backend-2", ".state")));
    browser.wait_for(&format!("Number({}) === 0", cell("backend-2", ".rps")));
    browser.wait_for("document.querySelector('#said').innerText.startsWith('backend-2 is draining, ')");
    browser.wait_for("document.activeElement.getAttribute('aria-label') === 'Make backend-2 ready'");
    browser.press("Enter");
    browser.wait_for(&format!("{} === '● up'", cell("backend-2", ".state")));
    tab_to(&mut browser, "Weight of backend-3");
    browser.eval("document.activeElement.select()");
    browser.type_in("2");
    browser.press("Enter");
    browser.wait_for(&format!("{} === 'of 50\\u00a0%'", cell("backend-3", ".part small")));
    browser.wait_for(&format!("{} === 'file: 1'", cell("backend-3", ".weight small")));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn the_last_one_in_service_is_drained_only_by_somebody_who_is_sure() {
    let Some(mut browser) = Browser::start() else { return };
    let fleet = Fleet::start();
    open(&mut browser, &fleet.page());
    for backend in ["backend-1", "backend-2"] {
        assert!(fleet.balancer.ctl(&["drain", &format!("app/{backend}")]).status.success());
        browser.wait_for(&format!("{} === '◐ draining'", cell(backend, ".state")));
    }
    tab_to(&mut browser, "Drain backend-3");
    browser.press("Enter");
    browser.wait_for("document.querySelector('#ask-sure').open");
    browser.press("Escape");
    browser.wait_for("!document.querySelector('#ask-sure').open");
    assert_eq!(browser.eval("document.activeElement.getAttribute('aria-label')"), "Drain backend-3");
    assert_eq!(browser.text(&cell("backend-3", ".state")), "● up", "not without a yes");
    browser.press("Enter");
    browser.wait_for("document.querySelector('#ask-sure').open");
    browser.eval("document.querySelector('#ask-sure .main').focus()");
    browser.press("Enter");
    browser.wait_for(&format!("{} === '◐ draining'", cell("backend-3", ".state")));
    browser.wait_for("document.querySelector('#story').dataset.level === 'bad'");
}

#[test]
fn the_page_asks_a_stranger_for_the_token_and_does_nothing_without_it() {
    let Some(stranger) =
        own_network("live_page::access::the_page_asks_a_stranger_for_the_token_and_does_nothing_without_it")
    else {
        return;
    };
    let Some(mut browser) = Browser::start() else { return };
    let fleet =
        Fleet::with(|setup| setup.top(&format!("admin: {{ address: \"0.0.0.0:0\", token: {TOKEN} }}")));
    open(&mut browser, &format!("http://{}/", SocketAddr::new(stranger, fleet.balancer.admin.port())));
    assert!(browser.text("document.querySelector('#may').innerText").contains("token"), "it says so before");
    tab_to(&mut browser, "Drain backend-1");
    browser.press("Enter");
    browser.wait_for("document.querySelector('#ask-token').open && document.activeElement.id === 'token'");
    browser.type_in("wrong-horse-battery");
    browser.press("Enter");
    browser.wait_for(
        "document.querySelector('#ask-token').open && document.querySelector('#token').value === ''",
    );
    browser.press("Escape");
    browser.wait_for("document.querySelector('#said').innerText.includes('nothing was changed')");
    assert_eq!(browser.text(&cell("backend-1", ".state")), "● up");
    browser.press("Enter");
    browser.wait_for("document.querySelector('#ask-token').open");
    browser.type_in(TOKEN);
    browser.press("Enter");
    browser.wait_for(&format!("{} === '◐ draining'", cell("backend-1", ".state")));
    // Asked once: it is known from now on.
    browser.wait_for("document.activeElement.getAttribute('aria-label') === 'Make backend-1 ready'");
    browser.press("Enter");
    browser.wait_for(&format!("{} === '● up'", cell("backend-1", ".state")));
}

#[test]
fn the_page_may_not_be_framed_nor_load_or_run_anything_from_elsewhere() {
    let backend = Backend::saying("ok");
    let balancer = Setup::over([&backend]).start();
    let ask = |path: &str| {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: text/html\r\nconnection: close\r\n\r\n"
        );
        Wire::connect(balancer.admin).exchange(request)
    };
    let page = ask("/");
    assert_eq!(page.head.field("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.head.field("content-security-policy").expect("a policy").to_owned();
    for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'none'"] {
        assert!(policy.contains(part), "{part} in {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    for path in ["/", "/assets/main.js", "/check", "/api/v1/upstreams"] {
        let answer = ask(path);
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.head.field("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.head.field("referrer-policy"), Some("no-referrer"), "{path}");
    }
    let text = page.text();
    assert!(
        !text.contains("style=") && !text.contains("<style") && !text.contains("onclick"),
        "nothing inline"
    );
    assert!(!text.contains("http://") && !text.contains("https://"), "nothing from elsewhere");
    assert!(balancer.ask_admin("/").text().contains("/api/v1/live"), "programs get the list");
}
