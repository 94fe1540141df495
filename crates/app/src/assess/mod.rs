//! Assessment: the estate is loaded, judged by pure functions, and answered. Reading it changes nothing.

mod declared;
mod estate;

pub use estate::viewer;
