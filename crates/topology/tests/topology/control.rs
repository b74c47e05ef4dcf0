//! What the loop decides, carried out on a model of servers and platform.

mod lost;
mod model;
mod spreading;
mod transitions;
