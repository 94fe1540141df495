//! Assessment: the estate is loaded, judged by pure functions, and answered. Reading it changes nothing.

mod doors;
mod estate;
mod metrics;
mod posture;
mod probes;
mod scenarios;

pub use doors::Doors;
pub use estate::viewer;
pub use probes::probe_options;
