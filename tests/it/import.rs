//! What `plimsoll import` makes of a file behaves as the program that the file was written for: both run over the same
//! backends, get the same requests, and are compared by the backend that each request reaches, by what that reads, and by
//! the answer.

mod haproxy;
mod nginx;
mod side_by_side;
mod size;
