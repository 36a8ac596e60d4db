//! The page is for everybody: by keyboard, by a screen reader, in light and in dark, with few colours, on a phone.
//!
//! What a screen reader would get is asked of the browser itself, whose accessibility tree has the roles and names that its
//! rules come to; contrasts are computed from the colours that are really shown (WCAG 2.2, 1.4.3 and 1.4.11).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Fleet, cell, open};
use crate::harness::browser::Browser;

/// Roles of what can be operated, which must have a name.
const OPERATED: [&str; 8] =
    ["button", "link", "radio", "slider", "spinbutton", "textbox", "combobox", "searchbox"];

/// A wide and a narrow screen, each in light and in dark.
const SCREENS: [(u32, u32, &str); 4] =
    [(1280, 900, "light"), (1280, 900, "dark"), (360, 740, "light"), (360, 740, "dark")];

#[test]
fn the_page_is_usable_by_everybody() {
    let Some(mut browser) = Browser::start() else { return };
    let mut fleet = Fleet::start();
    open(&mut browser, &fleet.page());
    // With something of everything on it: one that is down, one that is drained, and the decisions that came of that.
    fleet.backends[0].kill();
    assert!(fleet.balancer.ctl(&["drain", "app/backend-2"]).status.success());
    browser.wait_for(&format!("{} === '✕ down'", cell("backend-1", ".state")));
    browser.wait_for(&format!("{} === '◐ draining'", cell("backend-2", ".state")));
    browser.wait_for("document.querySelector('#decisions').children.length > 0");
    for (width, height, scheme) in SCREENS {
        browser.screen(width, height, scheme);
        let place = format!("{width} pixels, {scheme}");
        the_table_is_a_table(&tree(&mut browser), &place);
        explain(&mut browser, true);
        everything_has_a_role_and_a_name(&tree(&mut browser), &place);
        texts_can_be_read(&mut browser, &place);
        curves_can_be_seen(&mut browser, &place);
        nothing_is_cut_off(&mut browser, &place);
        explain(&mut browser, false);
    }
    the_keyboard_reaches_everything_in_order(&mut browser);
    headings_and_landmarks_are_in_order(&mut browser);
    movement_can_be_stopped(&mut browser);
}

/// Opens the first decision, or closes those that are open.
#[track_caller]
fn explain(browser: &mut Browser, open: bool) {
    let which = if open { "#decisions button.more" } else { "button[aria-expanded=true]" };
    browser.eval(&format!("document.querySelector('{which}').click()"));
    browser.wait_for(&format!("(document.querySelector('.explanation:not([hidden])') !== null) === {open}"));
}

/// What the browser would tell a screen reader: role and name of each element that it does not leave out.
fn tree(browser: &mut Browser) -> Vec<(String, String)> {
    let tree = browser.call("Accessibility.getFullAXTree", json!({}));
    let nodes = tree["nodes"].as_array().cloned().unwrap_or_default();
    let told = nodes.iter().filter(|node| node["ignored"] != true);
    let text = |value: &Value| value["value"].as_str().unwrap_or_default().trim().to_owned();
    told.map(|node| (text(&node["role"]), text(&node["name"]))).collect()
}

#[track_caller]
fn everything_has_a_role_and_a_name(nodes: &[(String, String)], place: &str) {
    for (role, name) in nodes {
        let needs =
            OPERATED.contains(&role.as_str()) || matches!(role.as_str(), "image" | "region" | "navigation");
        assert!(!needs || !name.is_empty(), "a {role} without a name at {place}");
    }
    let names = |wanted: &str| {
        let of = nodes.iter().filter(|(role, _)| role == wanted).map(|(_, name)| name.clone());
        of.collect::<Vec<_>>()
    };
    for button in ["Pause", "Drain backend-1", "Make backend-2 ready"] {
        assert!(
            names("button").iter().any(|name| name == button),
            "{button} in {:?} at {place}",
            names("button")
        );
    }
    assert_eq!(names("slider"), ["Instant that the graphs tell"], "{place}");
    let pictures = names("image");
    for said in ["backend-1: up from", "Requests per second, the last", "backend-3 now"] {
        assert!(pictures.iter().any(|name| name.contains(said)), "{said} in {pictures:?} at {place}");
    }
}

/// Also on a phone, where a row is shown as a card.
#[track_caller]
fn the_table_is_a_table(nodes: &[(String, String)], place: &str) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (role, _) in nodes {
        *counts.entry(role).or_default() += 1;
    }
    let count = |role| counts.get(role).copied().unwrap_or_default();
    assert_eq!(count("table"), 1, "{place}");
    assert_eq!((count("columnheader"), count("rowheader")), (11, 3), "{place}: {counts:?}");
    assert_eq!((count("row"), count("cell")), (4, 30), "{place}: {counts:?}");
}

/// Every text against what is behind it: 4.5, or 3 for large ones.
#[track_caller]
fn texts_can_be_read(browser: &mut Browser, place: &str) {
    let poor = browser.eval(&format!(
        "{CONTRAST}
        const found = [];
        const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        while (walker.nextNode()) {{
            const element = walker.currentNode.parentElement;
            if (walker.currentNode.data.trim() === '' || !element.checkVisibility({{ visibilityProperty: true }})) continue;
            if (element.closest('.unseen, noscript, thead, dialog, .skip') || element.getClientRects().length === 0) continue;
            const style = getComputedStyle(element);
            const size = parseFloat(style.fontSize);
            const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
            const colour = element instanceof SVGElement ? style.fill : style.color;
            const ratio = contrast(over(rgba(colour), behind(element)), behind(element));
            if (ratio < (large ? 3 : 4.5)) found.push([walker.currentNode.data.trim(), colour, ratio.toFixed(2)]);
        }}
        return found; }})()"
    ));
    assert_eq!(poor, json!([]), "{place}");
}

/// Every colour of a backend, a class or a state against the card that it is drawn on: 3.
#[track_caller]
fn curves_can_be_seen(browser: &mut Browser, place: &str) {
    let poor = browser.eval(&format!(
        "{CONTRAST}
        const card = document.querySelector('.card');
        const names = ['b1', 'b2', 'b3', 'b4', 'b5', 'b6', 'b7', 'b8', 'others', 'ours', 'c2', 'c3', 'c4', 'c5', 'p50',
            'p99', 'retried', 'rescued', 'of-up', 'of-down', 'of-draining', 'of-slow_start', 'of-ejected', 'field-edge'];
        const probe = document.createElement('span');
        card.append(probe);
        const ratio = (name) => {{
            probe.className = name;
            const variable = name === 'field-edge' ? '--field-edge' : '--c';
            probe.style.color = getComputedStyle(probe).getPropertyValue(variable);
            return contrast(rgba(getComputedStyle(probe).color), behind(card));
        }};
        const found = names.map((name) => [name, ratio(name)]).filter(([, ratio]) => ratio < 3);
        probe.remove();
        return found; }})()"
    ));
    assert_eq!(poor, json!([]), "{place}");
}

/// Relative luminance and contrast as WCAG defines them, and what is really behind an element.
const CONTRAST: &str = r"(() => {
    const rgba = (text) => {
        const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
        return text.startsWith('color(srgb') ? [r * 255, g * 255, b * 255, a] : [r, g, b, a];
    };
    const over = ([r, g, b, a], [x, y, z]) => [r * a + x * (1 - a), g * a + y * (1 - a), b * a + z * (1 - a), 1];
    const channel = (c) => c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4;
    const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
    const contrast = (one, other) => {
        const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a);
        return (high + 0.05) / (low + 0.05);
    };
    const behind = (element) => {
        const layers = [];
        for (let at = element; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
        const segment = element.closest('.segment');
        if (segment) {
            const style = getComputedStyle(segment.firstElementChild);
            const [r, g, b] = rgba(style.fill);
            layers.unshift([r, g, b, Number(style.fillOpacity)]);
        }
        return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
    };";

/// Nothing needs scrolling sideways (1.4.10), and nothing is below what a finger can hit.
#[track_caller]
fn nothing_is_cut_off(browser: &mut Browser, place: &str) {
    let wide = browser.eval("[document.documentElement.scrollWidth, innerWidth]");
    assert!(wide[0].as_u64() <= wide[1].as_u64(), "{wide} at {place}");
    let small = browser.eval(
        "[...document.querySelectorAll('main button, header button, input[type=number]')].filter((one) => \
         one.checkVisibility({ opacityProperty: true })).map((one) => [one.innerText, one.getBoundingClientRect().height])\
         .filter(([, height]) => height < 24)",
    );
    assert_eq!(small, json!([]), "{place}");
}

#[track_caller]
fn the_keyboard_reaches_everything_in_order(browser: &mut Browser) {
    browser.screen(1280, 900, "light");
    browser.eval("document.activeElement.blur()");
    let (mut reached, mut places) = (Vec::new(), Vec::new());
    let focused = "(() => { const at = document.activeElement; if (at === document.body) return null; \
        const seen = at.matches('input[type=radio]') ? at.nextElementSibling : at; \
        const outline = getComputedStyle(seen); \
        return { name: at.getAttribute('aria-label') ?? (at.innerText || at.id || at.name), \
            place: [...document.querySelectorAll('*')].indexOf(at), \
            shown: outline.outlineStyle !== 'none' && parseFloat(outline.outlineWidth) > 0 }; })()";
    for _ in 0..120 {
        browser.press("Tab");
        let at = browser.eval(focused);
        if at.is_null() {
            break;
        }
        assert_eq!(at["shown"], true, "one sees where the focus is: {at}");
        places.push(at["place"].as_u64().expect("a position"));
        reached.push(at["name"].as_str().unwrap_or_default().to_owned());
    }
    assert!(places.is_sorted(), "in the order of the page: {reached:?}");
    for name in [
        "Skip to the backends",
        "Pause",
        "Weight of backend-3",
        "Drain backend-3",
        "Instant that the graphs tell",
    ] {
        assert!(reached.iter().any(|known| known == name), "{name} in {reached:?}");
    }
}

#[track_caller]
fn headings_and_landmarks_are_in_order(browser: &mut Browser) {
    let headings = browser.eval("[...document.querySelectorAll('main h1, main h2, main h3, header h1')].map((h) => Number(h.tagName[1]))");
    let levels: Vec<u64> = headings.as_array().expect("a list").iter().filter_map(Value::as_u64).collect();
    assert_eq!(levels.iter().filter(|level| **level == 1).count(), 1, "{levels:?}");
    assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "no level is left out: {levels:?}");
    let landmarks = browser.eval(
        "['header', 'main', 'footer'].map((name) => document.querySelectorAll(`body > ${name}`).length)",
    );
    assert_eq!(landmarks, json!([1, 1, 1]));
    assert_eq!(browser.eval("document.documentElement.lang"), "en");
    assert_eq!(browser.eval("document.querySelectorAll('[role=status]').length > 1"), true);
    let ids = browser.eval("(() => { const ids = [...document.querySelectorAll('[id]')].map((e) => e.id); return ids.length - new Set(ids).size; })()");
    assert_eq!(ids, 0, "no id twice");
}

/// By a button (2.2.2), and by the wish for less movement.
#[track_caller]
fn movement_can_be_stopped(browser: &mut Browser) {
    let curve = "document.querySelector('.curves path').getAttribute('d')";
    browser.eval("document.querySelector('#pause').click()");
    let before = browser.text(curve);
    let seconds = "Number(document.querySelector('#of-total .curves path')?.getAttribute('d').length)";
    let first = browser.eval(seconds);
    // The feed goes on: the table's figures are of now, and only the graphs stand still.
    browser.eval("window.told = 0; new MutationObserver(() => window.told += 1).observe(document.querySelector('.check small'), \
        { childList: true, subtree: true, characterData: true }); true");
    browser.wait_for("window.told > 1");
    assert_eq!((browser.text(curve), browser.eval(seconds)), (before.clone(), first));
    browser.eval("document.querySelector('#pause').click()");
    browser.wait_for(&format!("{curve} !== {}", json!(before)));
    let features = json!([{ "name": "prefers-reduced-motion", "value": "reduce" }]);
    browser.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    assert_eq!(browser.eval("document.getAnimations().length"), 0, "nothing moves by itself");
}
