//! The promises of the balancer, each tested from outside: the real binary, real sockets, scripted backends.
//!
//! One module per promise; one binary, because linking is what takes long.

mod harness;

// How requests come in.
mod framing;
mod keep_alive;
mod load_line;
mod many_clients;
mod slow_clients;

// Where they go.
mod import;
mod load_aware;
mod routes;
mod turns;

// How they and their answers travel.
mod bodies;
mod close_delimited;
mod early_response;
mod expect_continue;
mod fields;
mod given_answers;
mod http10;
mod no_body;
mod tcp;
mod upgrade;

// What happens when a backend fails.
mod bad_backends;
mod ejection;
mod health;
mod hedge;
mod idle_connections;
mod real_failures;
mod retry;

// What the operator does and sees.
mod access_log;
mod admin;
mod agent;
mod changes;
mod command_line;
mod dashboards;
mod drain;
mod drain_backend;
mod exemplars;
mod host_names;
mod httplog;
mod live_page;
mod monitoring_stack;
mod pushes;
mod reload;
mod reload_listeners;
mod runbook;
mod start;
mod top;
mod traces;
mod waiting_times;
mod why;

// What someone sees who has nothing but the program, and who has Docker.
mod compose;
mod demo;
