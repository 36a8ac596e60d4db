//! Files of HAProxy, beside HAProxy.

use super::side_by_side::{Allowed, Original, SideBySide, all, request};

/// What differs, and why.
const ALLOWED: Allowed = Allowed {
    // plimsoll says that it was there (via), gives each request an id, tells host and protocol with `forwardfor`, and keeps
    // its connections to backends.
    of_requests: &["via", "x-request-id", "x-forwarded-host", "x-forwarded-proto", "connection"],
    // The pages of refusals are each program's own.
    of_answers: &["connection", "cache-control", "content-length", "content-type"],
};

const DEFAULTS: &str = "defaults
    mode http
    timeout client 5s
    timeout server 5s
    timeout connect 1s
";

#[track_caller]
fn start(text: &str) -> Option<SideBySide> {
    SideBySide::start(Original::Haproxy, &format!("{DEFAULTS}{text}"), ALLOWED)
}

/// Tests joined by and, or and not; sources, header fields, redirections and refusals.
const MIXES: &str = "frontend web
    bind 127.0.0.1:@web@
    option forwardfor
    acl office src 10.0.0.0/8 192.168.1.7
    acl local src 127.0.0.0/8
    acl api path_beg /api/ /v1/
    acl img path_end -i .png .jpg
    acl shop hdr(host) -i shop.example.org store.example.org
    acl anyport hdr(host),field(1,:) -i any.example.org
    acl below hdr_end(host) -i .example.net
    acl www hdr_beg(host) -i www.
    acl beta hdr(x-beta) -i yes
    acl token hdr(x-token) -m found
    acl post method POST
    acl exact path /exact
    acl part path_sub secret
    acl dir path_dir down
    acl number path_reg ^/r[0-9]+$
    acl debug url_param(debug) -m str 1
    http-request deny if { path_beg /admin } !office
    http-request deny deny_status 429 if { path_beg /busy } local
    http-request set-header X-Real-IP %[src]
    http-request set-header X-Url http://%[req.hdr(Host)]%[capture.req.uri]
    http-request add-header X-Tag two
    http-request del-header X-Internal
    http-request set-header X-Is-Beta yes if beta
    http-request set-header X-Is-Api yes if api !beta
    http-response set-header X-Frame-Options DENY
    http-response add-header X-Added %s
    http-response del-header X-Powered-By
    http-request redirect location https://new.example.org%[path] code 301 if { path_beg /moved }
    http-request redirect prefix https://pre.example.org code 308 if { path_beg /prefix }
    http-request redirect scheme https code 302 if { path_beg /tls }
    use_backend b1 if api !post
    use_backend b2 if img or part
    use_backend b3 if shop !api
    use_backend b4 if anyport
    use_backend b1 if below !img !dir
    use_backend b2 if www beta or token
    use_backend b3 unless !exact !number
    use_backend b4 if debug !office local
    use_backend b3 if !www !beta !local
    default_backend b5
backend b1
    server s 127.0.0.1:@b1@
backend b2
    server s 127.0.0.1:@b2@
backend b3
    http-request set-header X-Tag three
    server s 127.0.0.1:@b3@
backend b4
    http-response del-header X-Frame-Options
    server s 127.0.0.1:@b4@
backend b5
    server s 127.0.0.1:@b5@
";

#[test]
fn requests_take_the_way_that_haproxys_rules_give_them() {
    let Some(both) = start(MIXES) else { return };
    let targets = [
        "/",
        "/api/x",
        "/API/x",
        "/v1/",
        "/a.png",
        "/A.PNG",
        "/a.png?x=.jpg",
        "/exact",
        "/exact/",
        "/x/secret/y",
        "/down/x",
        "/x/down",
        "/r12",
        "/r12x",
        "/?debug=1",
        "/x?debug=2&debug=1",
        "/admin",
        "/admin/x",
        "/busy",
        "/moved/a?b",
        "/prefix/a?b=c",
        "/tls/a?b",
        "/api/a.png",
    ];
    let hosts = [
        "example.org",
        "shop.example.org",
        "SHOP.example.org",
        "shop.example.org:@port@",
        "any.example.org:@port@",
        "a.example.net",
        "a.example.net:@port@",
        "www.example.org",
    ];
    let fields = ["", "X-Beta: YES\r\n", "X-Token:\r\nX-Internal: 1\r\nX-Tag: own\r\nX-Real-IP: 1.2.3.4\r\n"];
    both.agree_on(&all(&["GET", "POST"], &targets, &hosts, &fields));
}

/// The example file that HAProxy's packages install, as people have it.
const EXAMPLE: &str = "defaults
    mode                    http
    option                  dontlognull
    option http-server-close
    option forwardfor       except 127.0.0.0/8
    option                  redispatch
    retries                 3
    timeout http-request    10s
    timeout queue           1m
    timeout connect         10s
    timeout client          1m
    timeout server          1m
    timeout http-keep-alive 10s
    timeout check           10s
    maxconn                 3000
frontend main
    bind *:@web@
    acl url_static       path_beg       -i /static /images /javascript /stylesheets
    acl url_static       path_end       -i .jpg .gif .png .css .js
    use_backend static          if url_static
    default_backend             app
backend static
    balance     roundrobin
    server      static 127.0.0.1:@static@ check
backend app
    balance     roundrobin
    server  app1 127.0.0.1:@app1@ check
    server  app2 127.0.0.1:@app2@ check
    server  app3 127.0.0.1:@app3@ check
    server  app4 127.0.0.1:@app4@ check
";

#[test]
fn the_example_file_gives_pages_and_pictures_as_haproxy_does() {
    let Some(both) = SideBySide::start(Original::Haproxy, EXAMPLE, ALLOWED) else { return };
    let pictures =
        all(&["GET", "HEAD"], &["/static", "/IMAGES/x", "/a.PNG", "/x/y.css?z"], &["example.org"], &[""]);
    both.agree_on(&pictures);
    let [theirs, ours] = both.counts(&request("GET", "/", "example.org", ""), 40);
    assert_eq!(theirs.len(), 4, "all four get requests: {theirs:?}");
    assert_eq!(theirs, ours);
}

#[test]
fn weights_and_those_who_stand_by_count_as_in_haproxy() {
    let Some(both) = start(
        "listen web
    bind 127.0.0.1:@web@
    balance roundrobin
    server a 127.0.0.1:@a@ weight 3
    server b 127.0.0.1:@b@ weight 1
    server off 127.0.0.1:@off@ disabled
    server later 127.0.0.1:@later@ backup
",
    ) else {
        return;
    };
    let [theirs, ours] = both.counts(&request("GET", "/", "example.org", ""), 40);
    assert_eq!((theirs.get("a"), theirs.get("b"), theirs.len()), (Some(&30), Some(&10), 2));
    assert_eq!(theirs, ours);
}

#[test]
fn what_is_hashed_stays_with_its_backend_as_in_haproxy() {
    let Some(both) = start(
        "listen web
    bind 127.0.0.1:@web@
    balance uri
    hash-type consistent
    server a 127.0.0.1:@a@
    server b 127.0.0.1:@b@
    server c 127.0.0.1:@c@
",
    ) else {
        return;
    };
    let mut reached = [std::collections::BTreeSet::new(), std::collections::BTreeSet::new()];
    for key in 0..40 {
        let asked = |query: &str| both.ask(&request("GET", &format!("/key/{key}{query}"), "example.org", ""));
        let (first, again) = (asked(""), asked("?x"));
        for (at, reached) in reached.iter_mut().enumerate() {
            assert_eq!(first[at].backend, again[at].backend, "key {key}");
            reached.insert(first[at].backend.clone());
        }
    }
    assert_eq!(reached.map(|reached| reached.len()), [3, 3], "keys spread over all backends");
}

#[test]
fn a_cookie_keeps_a_client_with_its_backend_as_in_haproxy() {
    let Some(both) = start(
        "listen web
    bind 127.0.0.1:@web@
    balance roundrobin
    cookie SRV insert indirect nocache
    server a 127.0.0.1:@a@ cookie a
    server b 127.0.0.1:@b@ cookie b
",
    ) else {
        return;
    };
    for at in 0..2 {
        let first = both.ask(&request("GET", "/", "example.org", ""))[at].clone();
        let cookie = first.all_answered("set-cookie").into_iter().find(|cookie| cookie.starts_with("SRV="));
        let pair = cookie.unwrap_or_default().split(';').next().unwrap_or_default().to_owned();
        assert!(pair.len() > 4, "the first answer gives a cookie: {first:?}");
        for _ in 0..4 {
            let again =
                both.ask(&request("GET", "/", "example.org", &format!("Cookie: {pair}\r\n")))[at].clone();
            assert_eq!(again.backend, first.backend);
        }
    }
}

#[test]
fn a_client_stays_by_its_address_as_in_haproxy() {
    let Some(both) = start(
        "listen web
    bind 127.0.0.1:@web@
    balance source
    server a 127.0.0.1:@a@
    server b 127.0.0.1:@b@
",
    ) else {
        return;
    };
    let counts = both.counts(&request("GET", "/", "example.org", ""), 10);
    assert_eq!(counts.map(|counts| counts.len()), [1, 1], "this client has one backend");
}

#[test]
fn those_with_the_least_to_do_are_all_used_as_in_haproxy() {
    let Some(both) = start(
        "listen web
    bind 127.0.0.1:@web@
    balance leastconn
    server a 127.0.0.1:@a@
    server b 127.0.0.1:@b@
    server c 127.0.0.1:@c@
",
    ) else {
        return;
    };
    let counts = both.counts(&request("GET", "/", "example.org", ""), 60);
    assert_eq!(counts.map(|counts| counts.len()), [3, 3]);
}
