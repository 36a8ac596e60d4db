//! Systems that plimsoll takes over, each replayed with the commands that its description gives: the same files, the same
//! curl loops, the same programs of Debian's packages. `EXAMPLES.md` lists them with these tests.
//!
//! The harness is that of `tests/it`, by a link: what starts processes and speaks HTTP is there once.

#[expect(dead_code, reason = "the harness is shared; here some of it is not needed")]
mod harness;

/// The commands, and files that are run as they are.
mod commands;

/// CPU of backends pushed to a gateway, and what a reboot of one looks like.
mod cpu_and_reboot;
/// Balancing of connections.
mod level_four;
/// A site whose pictures are served apart from its pages, by HAProxy.
mod static_and_app;
/// Keys and values by command and over HTTP, and a page of two servers.
mod storage;
/// Backends that are switched to failing, nginx with checks in Lua.
mod switch_and_check;
