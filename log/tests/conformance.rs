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

#[cfg(feature = "kafka")]
mod kafka {
    weir_log::conformance!(kafka);
}

#[cfg(feature = "kafka")]
mod kafka_with_postgres {
    weir_log::conformance!(kafka_with_postgres);
}
