//! What only a server shared by several processes can show.

mod postgres {
    mod encryption;
    mod faults;
    mod groups;
    mod isolation;
    mod looking;
    mod nodes;
    mod opening;
    mod proxy;
    mod readers;
    mod retention;
    mod set_back;
}
