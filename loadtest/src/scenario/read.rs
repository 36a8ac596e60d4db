//! Reads a scenario file: its settings first, then everything with the settings in place.

use super::check::{Bound, Check};
use super::shape::{self, File, Head};
use super::value::{Address, Code, Rate, Span, Verb};
use super::{Act, Admin, Deed, Phase, Place, Program, Request, Scenario};
use crate::actor;
use crate::http::Call;
use crate::mix::{self, Ask};
use crate::plan::{Arrivals, CONNECTIONS_MAX, Leg, Plan, PlanError, RATE_MAX};
use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName};
use hyper::{Method, Uri};
use serde_saphyr::{Error, Location, Spanned};
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// The largest file that is read, in bytes.
pub const FILE_MAX: usize = 1 << 20;

/// The most phases of a scenario.
pub const PHASES_MAX: usize = 200;

/// The most deeds of a scenario.
pub const ACTS_MAX: usize = 1000;

/// The most requests that may be in flight.
pub const IN_FLIGHT_MAX: usize = 100_000;

/// The longest that a phase may last.
pub const PHASE_MAX: Duration = Duration::from_secs(24 * 3600);

/// What is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScenarioError {
    /// The line and the column, from 1; None when it is not about a place.
    pub place: Option<(u64, u64)>,
    /// What, and what to do.
    pub message: String,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(f, "{line}:{column}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ScenarioError {}

impl From<Error> for ScenarioError {
    fn from(error: Error) -> ScenarioError {
        let place = error.location().map(place);
        let message = error.to_string();
        // The place stands before the message, so not in it as well.
        let message = match error.location() {
            Some(at) => message.replace(&format!(" at line {}, column {}", at.line(), at.column()), ""),
            None => message,
        };
        ScenarioError { place, message }
    }
}

fn place(at: Location) -> (u64, u64) {
    (at.line(), at.column())
}

fn wrong<T>(at: &Spanned<T>, message: impl Into<String>) -> ScenarioError {
    ScenarioError { place: Some(place(at.referenced)), message: message.into() }
}

fn unplaced(message: impl Into<String>) -> ScenarioError {
    ScenarioError { place: None, message: message.into() }
}

/// Reads the text of a file, with settings that take the place of its own. `given` are more names that `${NAME}` may
/// stand for, without being settings.
///
/// # Errors
/// The first thing that is wrong.
pub fn read(
    text: &str,
    settings: &[(String, String)],
    given: &[(String, String)],
) -> Result<Scenario, ScenarioError> {
    if text.len() > FILE_MAX {
        return Err(unplaced(format!("the file is larger than {} KiB", FILE_MAX / 1024)));
    }
    let plain = || serde_saphyr::options! { with_snippet: false };
    let head: Head = serde_saphyr::from_str_with_options(text, plain())?;
    let mut names: HashMap<String, String> = head.settings.into_iter().collect();
    for (name, value) in settings {
        let Some(setting) = names.get_mut(name) else {
            let mut known: Vec<&str> = names.keys().map(String::as_str).collect();
            known.sort_unstable();
            let known = if known.is_empty() { "it has none".to_owned() } else { known.join(", ") };
            return Err(unplaced(format!("the scenario has no setting `{name}`: {known}")));
        };
        setting.clone_from(value);
    }
    names.extend(given.iter().cloned());
    let file: File = serde_saphyr::from_str_with_options(text, plain().with_properties(names))?;
    scenario(file)
}

fn scenario(mut file: File) -> Result<Scenario, ScenarioError> {
    let phases = phases(&file)?;
    let programs = programs(&file)?;
    let plan = plan(&file, &phases)?;
    let admin = file.admin.take().map(|admin| Admin {
        url: admin.url.0,
        upstream: admin.upstream.unwrap_or_else(|| "app".to_owned()),
        token: admin.token.unwrap_or_default(),
    });
    let mut checks: Vec<Check> = file.assert.iter().map(|bound| check(None, bound)).collect();
    let mut acts = Vec::new();
    for (at, phase) in file.phases.value.iter().enumerate() {
        checks.extend(phase.value.assert.iter().map(|bound| check(Some(at), bound)));
        for action in &phase.value.actions {
            let begin = phases[at].begin + offset(&action.value, &phases[at])?;
            acts.push(Act { at: begin, deed: deed(action, &programs, admin.as_ref())? });
        }
    }
    if acts.len() > ACTS_MAX {
        return Err(wrong(
            &file.phases,
            format!("{} actions are more than {ACTS_MAX}; leave some out", acts.len()),
        ));
    }
    acts.sort_by_key(|act| act.at); // stable: at one moment in the order of the file
    Ok(Scenario { title: file.title, plan, programs, admin, phases, acts, checks })
}

fn check(phase: Option<usize>, bound: &Spanned<Bound>) -> Check {
    Check { phase, bound: bound.value.clone() }
}

fn phases(file: &File) -> Result<Vec<Phase>, ScenarioError> {
    let given = &file.phases.value;
    if given.is_empty() || given.len() > PHASES_MAX {
        return Err(wrong(&file.phases, format!("a scenario has from 1 to {PHASES_MAX} phases")));
    }
    let (mut phases, mut begin): (Vec<Phase>, _) = (Vec::new(), Duration::ZERO);
    for phase in given {
        let Span(duration) = phase.value.duration.value;
        if duration.is_zero() || duration > PHASE_MAX {
            return Err(wrong(&phase.value.duration, "a phase lasts more than 0s and at most 24h"));
        }
        let name = phase.value.name.clone();
        if phases.iter().any(|other| other.name == name) {
            return Err(wrong(phase, format!("there are two phases `{name}`; give each a name of its own")));
        }
        phases.push(Phase { name, begin, duration });
        begin += duration;
    }
    Ok(phases)
}

fn programs(file: &File) -> Result<Vec<Program>, ScenarioError> {
    let program = |(name, given): (&String, &Spanned<shape::Program>)| {
        let shape::Program { command, pid, supervised, compose, project, files, ready } = &given.value;
        let (command, supervised) = (command.0.clone(), supervised.unwrap_or(false));
        let place = match (pid.0, compose) {
            (Some(_), _) if command.is_empty() && !supervised => {
                let message = "a process that is found by its `pid` needs a `command` that starts it again, or \
                               `supervised: true` when somebody else does";
                return Err(wrong(given, message));
            }
            (Some(pid), _) => Place::Found { pid, command: if supervised { Vec::new() } else { command } },
            (None, Some(service)) => {
                let (service, project, files) = (service.clone(), project.clone(), files.clone());
                Place::Compose { service, project, files }
            }
            (None, None) if !command.is_empty() => Place::Own { command },
            (None, None) => {
                let message =
                    format!("`{name}` is nowhere; give it a `command`, a `pid` or a `compose` service");
                return Err(wrong(given, message));
            }
        };
        Ok(Program { name: name.clone(), place, ready: ready.as_ref().map(|Address(uri)| uri.clone()) })
    };
    file.programs.iter().map(program).collect()
}

fn plan(file: &File, phases: &[Phase]) -> Result<Plan, ScenarioError> {
    let unusable = |error: PlanError| unplaced(error.to_string());
    let Some(target) = file.target.0.first() else { return Err(unplaced("`target` names no address")) };
    let duration = phases.iter().map(|phase| phase.duration).sum();
    let mut plan = Plan::new(&target.to_string(), 1.0, duration).map_err(unusable)?;
    plan.mix = mix(file)?;
    plan.keep_alive = file.keep_alive.unwrap_or(true);
    plan.first_phase.clone_from(&phases[0].name);
    plan.phases = phases[1..].iter().map(|phase| (phase.begin, phase.name.clone())).collect();
    if let Some(connections) = &file.connections {
        if !(1..=CONNECTIONS_MAX).contains(&connections.value) {
            return Err(wrong(connections, PlanError::Connections(connections.value).to_string()));
        }
        plan.connections = Some(connections.value);
    }
    plan.legs = legs(file, phases)?;
    if let shape::Arrivals::Poisson = file.arrivals {
        plan.arrivals = Arrivals::Poisson { seed: file.seed.unwrap_or_default() };
    }
    if let Some(Span(timeout)) = file.timeout {
        plan.timeout = timeout;
    }
    if let Some(Span(bucket)) = file.bucket {
        plan.bucket = bucket;
    }
    if let Some(most) = &file.max_in_flight {
        if !(1..=IN_FLIGHT_MAX).contains(&most.value) {
            return Err(wrong(most, format!("requests in flight are from 1 to {IN_FLIGHT_MAX}")));
        }
        plan.max_in_flight = most.value;
    }
    if !file.backend_headers.is_empty() {
        let names = file.backend_headers.iter().map(|name| {
            name.parse::<HeaderName>().map_err(|_| unplaced(format!("`{name}` is no name of a header")))
        });
        plan.backend_headers = names.collect::<Result<_, _>>()?;
    }
    plan.check().map_err(unusable)?;
    Ok(plan)
}

fn legs(file: &File, phases: &[Phase]) -> Result<Vec<Leg>, ScenarioError> {
    let mut legs = Vec::new();
    for (given, phase) in file.phases.value.iter().zip(phases) {
        let rate = given.value.rate.as_ref().or(file.rate.as_ref());
        match (rate, &file.connections) {
            (Some(rate), Some(_)) => {
                return Err(wrong(rate, "`rate` and `connections` are two ways to load; give one of them"));
            }
            (None, None) => {
                let message =
                    format!("how fast is `{}`? give a `rate` here or for all, or `connections`", phase.name);
                return Err(wrong(given, message));
            }
            (Some(rate), None) => legs.extend(legs_of(rate, phase.duration)?),
            (None, Some(_)) => {}
        }
    }
    Ok(legs)
}

fn legs_of(rate: &Spanned<Rate>, duration: Duration) -> Result<Vec<Leg>, ScenarioError> {
    let legs: Vec<Leg> = match &rate.value {
        Rate::Ramp(from, to) => vec![Leg { duration, from: *from, to: *to }],
        Rate::Steps(steps) => {
            let each = duration.div_f64(steps.len() as f64);
            steps.iter().map(|rate| Leg { duration: each, from: *rate, to: *rate }).collect()
        }
    };
    let within = |leg: &Leg| [leg.from, leg.to].iter().all(|rate| (0.0..=RATE_MAX).contains(rate));
    if legs.iter().all(within) {
        return Ok(legs);
    }
    Err(wrong(rate, format!("a rate is from 0 to {RATE_MAX} requests per second")))
}

fn mix(file: &File) -> Result<Vec<Ask>, ScenarioError> {
    let method = |verb: &Option<Verb>, body: &Option<String>| match (verb, body) {
        (Some(Verb(method)), _) => method.clone(),
        (None, Some(_)) => Method::POST,
        (None, None) => Method::GET,
    };
    let bytes = |body: &Option<String>| Bytes::from(body.clone().unwrap_or_default());
    let mut asks = Vec::new();
    for target in &file.target.0 {
        if file.mix.is_empty() {
            let (method, body) = (method(&file.method, &file.body), bytes(&file.body));
            asks.push(Ask {
                weight: 1,
                method,
                target: target.clone(),
                headers: file.headers.0.clone(),
                body,
            });
        }
        for ask in &file.mix {
            let mut headers = file.headers.0.clone();
            ask.headers.0.keys().for_each(|name| drop(headers.remove(name)));
            headers.extend(ask.headers.0.iter().map(|(name, value)| (name.clone(), value.clone())));
            let verb = ask.method.clone().or_else(|| file.method.clone());
            let body = ask.body.clone().or_else(|| file.body.clone());
            asks.push(Ask {
                weight: ask.weight.unwrap_or(1),
                method: method(&verb, &body),
                target: beside(target, &ask.path)?,
                headers,
                body: bytes(&body),
            });
        }
    }
    let weights: Vec<u32> = asks.iter().map(|ask| ask.weight).collect();
    mix::turns(&weights).map_err(|error| unplaced(error.to_string()))?;
    Ok(asks)
}

/// The address of `path` on the server of `target`.
fn beside(target: &Uri, path: &Spanned<String>) -> Result<Uri, ScenarioError> {
    let authority = target.authority().map_or("", |authority| authority.as_str());
    let uri = format!("http://{authority}{}", path.value).parse::<Uri>().ok();
    let uri = uri.filter(|_| path.value.starts_with('/'));
    uri.ok_or_else(|| wrong(path, format!("`{}` is no path; begin it with `/`", path.value)))
}

fn offset(action: &shape::Action, phase: &Phase) -> Result<Duration, ScenarioError> {
    match &action.at {
        None => Ok(Duration::ZERO),
        Some(at) if at.value.0 < phase.duration => Ok(at.value.0),
        Some(at) => {
            Err(wrong(at, format!("`{}` is over by then; it lasts {:?}", phase.name, phase.duration)))
        }
    }
}

fn deed(
    action: &Spanned<shape::Action>,
    programs: &[Program],
    admin: Option<&Admin>,
) -> Result<Deed, ScenarioError> {
    let shape::Action { at: _, kill, stop, freeze, go_on, start, drain, ready, switch, call } = &action.value;
    let on_program = |name: &Spanned<String>, deed| match programs.iter().position(|p| p.name == name.value) {
        Some(at) => Ok(Deed::Program(at, deed)),
        None => {
            let known: Vec<&str> = programs.iter().map(|program| program.name.as_str()).collect();
            let known = if known.is_empty() { "it has none".to_owned() } else { known.join(", ") };
            Err(wrong(name, format!("there is no program `{}` in `programs`: {known}", name.value)))
        }
    };
    let by_balancer = |name: &Spanned<String>, deed: fn(String) -> Deed| match admin {
        Some(_) => Ok(deed(name.value.clone())),
        None => Err(wrong(name, "this takes the balancer's admin interface; name it by `admin: {url: …}`")),
    };
    let mut deeds = Vec::new();
    for (name, deed) in [
        (kill, actor::Deed::Kill),
        (stop, actor::Deed::Stop),
        (freeze, actor::Deed::Freeze),
        (go_on, actor::Deed::Continue),
        (start, actor::Deed::Start),
    ] {
        deeds.extend(name.as_ref().map(|name| on_program(name, deed)));
    }
    deeds.extend(drain.as_ref().map(|name| by_balancer(name, Deed::Drain)));
    deeds.extend(ready.as_ref().map(|name| by_balancer(name, Deed::Ready)));
    deeds.extend(switch.as_ref().map(|Address(base)| {
        let url = format!("{}/api/switch", base.to_string().trim_end_matches('/'));
        let call = Call::new(Method::POST, &url).map_err(|error| wrong(action, error.to_string()))?;
        Ok(Deed::Switch(Box::new(call)))
    }));
    deeds.extend(call.as_ref().map(|call| Ok(request(call))));
    match deeds.len() {
        1 => deeds.remove(0),
        _ => Err(wrong(
            action,
            "an action does one thing: `kill`, `stop`, `freeze`, `continue`, `start`, `drain`, `ready`, `switch` or `call`",
        )),
    }
}

fn request(given: &shape::Call) -> Deed {
    let call = |given: &shape::Call| {
        let method = given.method.clone().map_or(Method::GET, |Verb(method)| method);
        let headers: HeaderMap = given.headers.0.clone();
        let body = Bytes::from(given.body.clone().unwrap_or_default());
        Call { method, url: given.url.0.clone(), headers, body }
    };
    let expect = given.expect.map(|Code(status)| status);
    let undo = given.undo.as_deref().map(call);
    Deed::Call(Box::new(Request { call: call(given), expect, undo }))
}
