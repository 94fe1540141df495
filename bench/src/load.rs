//! Closed-loop load: each connection sends its next request when it has its answer.

use std::{
    cell::RefCell,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::task::LocalSet;

use crate::{Fault, http::Connection};

/// Gives the next request to send, written into a buffer that it may patch; `None` ends the connection.
pub trait Requests: Clone + 'static {
    fn next(&mut self) -> Option<&[u8]>;
}

#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub seconds: f64,
    pub answered: usize,
    pub errors: usize,
    /// Sorted, in microseconds.
    pub micros: Vec<u32>,
    pub first_error: Option<String>,
}

impl Outcome {
    pub fn rate(&self) -> f64 {
        self.answered as f64 / self.seconds.max(1e-9)
    }

    /// In milliseconds.
    pub fn percentile(&self, percent: f64) -> f64 {
        let last = self.micros.len().saturating_sub(1);
        let at = (self.micros.len() as f64 * percent / 100.0) as usize;
        self.micros.get(at.min(last)).map_or(f64::NAN, |micros| f64::from(*micros) / 1000.0)
    }

    fn note(&mut self, took: Duration, answer: Result<u16, Fault>, body: &[u8]) {
        self.micros.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        match answer {
            Ok(200) => self.answered += 1,
            Ok(status) => self.fail(format!("{status}: {}", String::from_utf8_lossy(body))),
            Err(error) => self.fail(error.to_string()),
        }
    }

    fn fail(&mut self, why: String) {
        self.errors += 1;
        self.first_error.get_or_insert(why);
    }
}

/// Drives `address` over one connection for each of `clients`, for `limit` at most.
pub async fn drive<R: Requests>(address: SocketAddr, clients: Vec<R>, limit: Duration) -> Result<Outcome, Fault> {
    let outcome = Rc::new(RefCell::new(Outcome::default()));
    let mut connections = Vec::new();
    for _ in &clients {
        connections.push(Connection::open(address).await?);
    }
    let local = LocalSet::new();
    let begun = Instant::now();
    for (mut connection, mut requests) in connections.into_iter().zip(clients) {
        let outcome = Rc::clone(&outcome);
        local.spawn_local(async move {
            while begun.elapsed() < limit {
                let Some(request) = requests.next() else { break };
                let sent = Instant::now();
                let answer = connection.call(request).await;
                let broken = answer.is_err();
                let body = if broken { &[] } else { connection.body() };
                outcome.borrow_mut().note(sent.elapsed(), answer, body);
                if broken {
                    break;
                }
            }
        });
    }
    local.await;
    let mut outcome = outcome.take();
    outcome.seconds = begun.elapsed().as_secs_f64();
    outcome.micros.sort_unstable();
    if let Some(why) = &outcome.first_error {
        println!("  {} errors; the first: {}", outcome.errors, why.chars().take(300).collect::<String>());
    }
    Ok(outcome)
}

/// The same request again and again, for a number of times.
#[derive(Clone)]
pub struct Again {
    pub request: Rc<Vec<u8>>,
    pub times: usize,
}

impl Requests for Again {
    fn next(&mut self) -> Option<&[u8]> {
        self.times = self.times.checked_sub(1)?;
        Some(&self.request)
    }
}

/// A share of a list, each once.
#[derive(Clone)]
pub struct Each {
    requests: Rc<RefCell<std::vec::IntoIter<Vec<u8>>>>,
    current: Vec<u8>,
}

impl Each {
    /// Clients that take from one list as they come to it.
    pub fn shared(requests: Vec<Vec<u8>>, clients: usize) -> Vec<Self> {
        let requests = Rc::new(RefCell::new(requests.into_iter()));
        vec![Self { requests, current: Vec::new() }; clients]
    }
}

impl Requests for Each {
    fn next(&mut self) -> Option<&[u8]> {
        self.current = self.requests.borrow_mut().next()?;
        Some(&self.current)
    }
}
