//! What the loop decides, carried out on a model of servers and platform.

mod dealing;
mod losses;
mod lost;
mod model;
mod rolling;
mod spreading;
mod takeovers;
mod transitions;
