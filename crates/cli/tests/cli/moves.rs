//! Slots move, with all that they hold, whatever happens meanwhile.

mod both_ends;
mod dialects;
mod epochs;
mod exact;
mod happy;
mod lag;
mod losses;
mod readers;
mod resets;
mod scene;
mod stops;
mod terminal;
mod users;
mod weighing;
