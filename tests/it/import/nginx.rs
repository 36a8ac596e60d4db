//! Files of nginx, beside nginx.

use super::side_by_side::{Allowed, Original, SideBySide, all, request};

/// What differs, and why.
const ALLOWED: Allowed = Allowed {
    // plimsoll says that it was there (via), gives each request an id, keeps its connections to backends, and where one
    // location of a listener continues X-Forwarded-For tells all its backends.
    of_requests: &[
        "via",
        "x-request-id",
        "connection",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
    ],
    // nginx calls itself the server, of backends' answers too; pages of refusals are each program's own.
    of_answers: &["connection", "server", "date", "content-length", "content-type"],
};

/// Locations of all kinds, names of servers, header fields, and who is let in.
const SITES: &str = r#"
proxy_set_header Host $host;
proxy_set_header X-Real-IP $remote_addr;
add_header X-Frame-Options DENY always;
upstream one { server 127.0.0.1:@one@; }
upstream two { server 127.0.0.1:@two@; }
upstream three { server 127.0.0.1:@three@; }
server {
  listen 127.0.0.1:@web@;
  server_name example.org;
  location / { proxy_pass http://one; }
  location = /exact { proxy_pass http://two; }
  location ^~ /static/ { proxy_pass http://three; }
  location /static/deep/ { proxy_pass http://two; }
  location ~* \.(png|jpg)$ { proxy_pass http://two; proxy_hide_header X-Powered-By; }
  location ~ ^/v[0-9]+/ { proxy_pass http://three; }
  location /own/ {
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Url $scheme://$http_host$request_uri;
    proxy_set_header X-Name $server_name;
    proxy_set_header Accept-Encoding "";
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    add_header X-Kind "own $host";
    add_header X-Kind second;
    proxy_hide_header X-Powered-By;
    proxy_pass http://one;
  }
  location /nested/ { location /nested/in/ { proxy_pass http://two; } proxy_pass http://three; }
  location /office/ { allow 10.0.0.0/8; deny all; proxy_pass http://one; }
  location /home/ { allow 127.0.0.1; deny all; proxy_pass http://one; }
  location /blocked/ { deny 127.0.0.0/8; allow all; proxy_pass http://one; }
  location /told/ { return 404 "not here"; }
  location /moved/ { add_header X-Told 1; return 301 https://$http_host$request_uri; }
  location /gone { return 410; }
}
server {
  listen 127.0.0.1:@web@;
  server_name other.org *.other.net;
  location / { proxy_set_header X-B b; proxy_pass http://two; }
}
"#;

#[test]
fn requests_take_the_way_that_nginxs_locations_give_them() {
    let Some(both) = SideBySide::start(Original::Nginx, SITES, ALLOWED) else { return };
    let targets = [
        "/",
        "/exact",
        "/exact/",
        "/static/",
        "/static/a.png",
        "/static/deep/a.png",
        "/static/deep/x",
        "/a.PNG",
        "/a.png?b",
        "/v1/x",
        "/v1",
        "/own/a?b=c",
        "/nested/",
        "/nested/in/x",
        "/nested/inx",
        "/office/",
        "/home/",
        "/blocked/x",
        "/told/",
        "/moved/a?b",
        "/gone",
        "/gonex",
    ];
    // Backends read `$host`, which nginx writes without the port and in lower case, and plimsoll as the client did.
    let hosts = ["example.org", "other.org", "a.other.net", "other.net", "unknown.org"];
    let fields = ["", "X-Real-IP: 1.2.3.4\r\nAccept-Encoding: gzip\r\nX-B: own\r\n"];
    both.agree_on(&all(&["GET", "POST", "HEAD"], &targets, &hosts, &fields));
}

#[test]
fn weights_and_those_who_stand_by_count_as_in_nginx() {
    let text = "upstream app {
  server 127.0.0.1:@a@ weight=3;
  server 127.0.0.1:@b@;
  server 127.0.0.1:@off@ down;
  server 127.0.0.1:@later@ backup;
}
server { listen 127.0.0.1:@web@; location / { proxy_pass http://app; } }";
    let Some(both) = SideBySide::start(Original::Nginx, text, ALLOWED) else { return };
    let [theirs, ours] = both.counts(&request("GET", "/", "example.org", ""), 40);
    assert_eq!((theirs.get("a"), theirs.get("b"), theirs.len()), (Some(&30), Some(&10), 2));
    assert_eq!(theirs, ours);
}

#[test]
fn what_is_hashed_stays_with_its_backend_as_in_nginx() {
    let text = "upstream app {
  hash $arg_key consistent;
  server 127.0.0.1:@a@;
  server 127.0.0.1:@b@;
  server 127.0.0.1:@c@;
}
server { listen 127.0.0.1:@web@; location / { proxy_pass http://app; } }";
    let Some(both) = SideBySide::start(Original::Nginx, text, ALLOWED) else { return };
    let mut reached = [std::collections::BTreeSet::new(), std::collections::BTreeSet::new()];
    for key in 0..40 {
        let asked = |path: &str| both.ask(&request("GET", &format!("{path}?key={key}"), "example.org", ""));
        let (first, again) = (asked("/"), asked("/elsewhere"));
        for (at, reached) in reached.iter_mut().enumerate() {
            assert_eq!(first[at].backend, again[at].backend, "key {key}");
            reached.insert(first[at].backend.clone());
        }
    }
    assert_eq!(reached.map(|reached| reached.len()), [3, 3], "keys spread over all backends");
}
