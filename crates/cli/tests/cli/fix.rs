//! Slots that are not as they should be, made so by hand, and repaired: by the program beside the reference, and alone.

mod alone;
mod copies;
mod interrupted;
mod lab;
mod secured;
mod twins;
