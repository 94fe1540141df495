//! Assessment: the estate is loaded, judged by pure functions, and answered. Reading it changes nothing.

mod estate;
mod findings;
mod posture;

pub use estate::viewer;
pub use findings::FindingFilter;
