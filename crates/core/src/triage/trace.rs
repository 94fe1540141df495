//! (bodies follow)
