return {
    {"PUT", "/stock/:sku", "stock/set"},
    {"GET", "/stock/:sku", "stock/get"},
    {"POST", "/orders", "orders/place"},
    {"GET", "/orders/:id", "orders/show"},
    {"PUT", "/mail/server", "mail/server"},
}
