//! The webhook sender against receivers on loopback sockets.

mod addresses;
mod answers;
mod receiver;
mod requests;
