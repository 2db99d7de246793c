//! The runner: triggering, following, finding and cancelling runs, and the doctor.

mod doctor;
mod follow;
mod lost_response;
mod quickstart;
