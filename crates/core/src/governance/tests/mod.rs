//! The transitions on a store in memory: decisions run as the real stores run them, one after the other.

mod approvals;
mod creation;
mod lab;
mod life;
mod property;
mod spending;
mod work;
