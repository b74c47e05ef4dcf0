//! What holds for any input. A failure prints the input and its seed.

mod best_placements;
mod garble;
mod garble_nested;
mod garbled_replies;
mod partitions;
mod placements;
mod reports;
