//! Assessment: the estate is loaded, judged by pure functions, and answered. Reading it changes nothing.

mod cards;
mod estate;
mod posture;
mod reassess;

pub use cards::{CardDetail, CardFilter, Signing};
pub use estate::viewer;
pub(crate) use reassess::Run;
