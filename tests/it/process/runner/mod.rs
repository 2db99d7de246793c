//! The runner: triggering, following, finding and cancelling runs, its commands about an engine, and the doctor.

mod commands;
mod doctor;
mod follow;
mod lost_response;
mod quickstart;
