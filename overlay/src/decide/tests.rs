mod decays;
mod model;
mod pools;
mod races;
mod requests;
mod sessions;
mod trust;
