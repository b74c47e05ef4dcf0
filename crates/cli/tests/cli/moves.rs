//! Slots move, with all that they hold, whatever happens meanwhile.

mod dialects;
mod happy;
mod resets;
mod scene;
mod stops;
