//! Every backend that is in this crate, against the conformance suite.

mod memory {
    weir_log::conformance!(memory);
}

mod sqlite {
    weir_log::conformance!(sqlite);
}

mod postgres {
    weir_log::conformance!(postgres);
}
