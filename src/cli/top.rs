//! `plimsoll top`: a running balancer in a terminal, in the spirit of hatop.
//!
//! What happens changes a state, and a state is drawn: both are pure, and all else is at the edge.
//!
//! - `state`: what is known and looked at; `update`, `keys`: what an event changes of it; `past`: the last minutes.
//! - `rows`, `columns`, `figures`: which backends, in which order, and what is said of each; `view`: the picture.
//! - `told`: what the balancer tells; `plain`: text that commands no terminal; `events`: its form on the wire.
//! - `feed`: the way to the balancer; `screen`: the terminal.

mod columns;
mod events;
mod feed;
mod figures;
mod keys;
mod past;
mod plain;
mod rows;
mod screen;
mod state;
mod told;
mod update;
mod view;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{MissedTickBehavior, interval};

use super::operator::Operator;
use plain::Plain;
use screen::Screen;
use state::State;
use told::Moment;
use update::{Event, Wish, update};
use view::{Look, view};

/// How many events may wait; who tells more waits as well.
const EVENTS_MAX: usize = 64;

/// Whom to watch.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Keys:
  up down j k      the backend above, below            < >   sort by another column, o turns the order round
  Enter, Esc       all about this backend, back        /     show only what contains a text
  d r w            drain it, make it ready, weigh it   ?     help    q  quit

Examples:
  plimsoll top
  plimsoll top --admin http://127.0.0.1:9901
  NO_COLOR=1 plimsoll top                        without colours; scripts use `plimsoll ctl` or the API")]
pub(super) struct Arguments {
    #[command(flatten)]
    operator: Operator,
}

/// Shows the balancer until somebody quits. Exits with 1 and the reason when there is no terminal to show it on.
pub(super) fn run(Arguments { operator }: &Arguments) -> ExitCode {
    match show(operator) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(std::io::stderr().lock(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn show(operator: &Operator) -> anyhow::Result<()> {
    let admin = operator.admin.to_string();
    let look = screen::look(&admin, |name| std::env::var(name).ok())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the event loop")?;
    let shown = runtime.block_on(async {
        let screen = Screen::enter().context("cannot use the terminal")?;
        let state = State::new(Plain::of(&admin), now());
        watch(Arc::new(operator.clone()), state, look, screen).await
    });
    // Whoever waits for a key or an answer is not waited for.
    runtime.shutdown_background();
    shown
}

/// Draws, waits for something to happen, and takes it into account, again and again.
async fn watch(
    operator: Arc<Operator>,
    mut state: State,
    look: Look,
    mut screen: Screen,
) -> anyhow::Result<()> {
    let (tell, mut events) = channel(EVENTS_MAX);
    tokio::spawn(feed::follow(Operator::clone(&operator), Sender::clone(&tell)));
    let keyboard = Sender::clone(&tell);
    std::thread::Builder::new().name("keys".to_owned()).spawn(move || read_keys(&keyboard))?;
    let mut ends = [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt()].map(signal);
    let [terminate, hangup, interrupt] = &mut ends;
    let (terminate, hangup, interrupt) = (
        terminate.as_mut().map_err(no_signals)?,
        hangup.as_mut().map_err(no_signals)?,
        interrupt.as_mut().map_err(no_signals)?,
    );
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        screen.draw(|frame| view(&state, look, frame)).context("cannot draw on the terminal")?;
        let event = tokio::select! {
            Some(event) = events.recv() => event,
            _ = seconds.tick(), if !state.is_live() => Event::Second,
            _ = terminate.recv() => return Ok(()),
            _ = hangup.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        };
        for event in with_those_that_wait(event, &mut events) {
            match update(&mut state, event, now()) {
                Some(Wish::Quit) => return Ok(()),
                Some(Wish::Redraw) => screen.forget().context("cannot draw on the terminal")?,
                Some(wish) => ask(&operator, wish, &tell),
                None => {}
            }
        }
    }
}

fn no_signals(error: &mut std::io::Error) -> anyhow::Error {
    anyhow::anyhow!("cannot wait for signals: {error}")
}

/// All that has happened by now: drawn once.
fn with_those_that_wait(event: Event, events: &mut Receiver<Event>) -> Vec<Event> {
    let mut all = vec![event];
    while all.len() < EVENTS_MAX
        && let Ok(event) = events.try_recv()
    {
        all.push(event);
    }
    all
}

/// Asks the balancer beside all else; the answer is an event.
fn ask(operator: &Arc<Operator>, wish: Wish, tell: &Sender<Event>) {
    let (operator, tell) = (Arc::clone(operator), Sender::clone(tell));
    tokio::spawn(async move {
        let answer = match wish {
            Wish::Change(change) => feed::change(&operator, &change).await,
            Wish::Decisions(place) => feed::decisions(&operator, place).await,
            Wish::Quit | Wish::Redraw => return,
        };
        // Nobody listens when the terminal has been left.
        let _ = tell.send(answer).await;
    });
}

/// Reads the keyboard until it is gone or nobody listens.
fn read_keys(tell: &Sender<Event>) {
    loop {
        let event = match crossterm::event::read() {
            Ok(crossterm::event::Event::Key(key)) => Event::Key(key),
            Ok(crossterm::event::Event::Resize(..)) => Event::Resized,
            Ok(_) => continue,
            Err(_) => Event::NoKeys,
        };
        let last = matches!(event, Event::NoKeys);
        if tell.blocking_send(event).is_err() || last {
            return;
        }
    }
}

/// The present by the clock of this host.
fn now() -> Moment {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Moment(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
