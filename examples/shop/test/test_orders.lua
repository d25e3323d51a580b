local lu = require "luaunit"
local test = require "weir/test"

local function order(amount)
    return test.call("orders/place", {sku = "tea", amount = amount, email = "ada@example.com"})
end

TestOrders = {}

function TestOrders:setUp()
    test.set("stock", "tea", 3)
end

function TestOrders:test_an_order_takes_from_the_stock()
    local placed = order(2)
    lu.assertEquals(placed.status, 201)
    lu.assertEquals(placed.json, {id = "1", cents = 900})
    lu.assertEquals(test.state("stock"), {tea = 1})
end

function TestOrders:test_what_is_sold_out_leaves_no_trace()
    local placed, refused = order(4)
    lu.assertNil(placed)
    lu.assertEquals(refused.error, {sold_out = "tea", left = 3})
    lu.assertEquals(test.events("orders"), {})
    lu.assertEquals(test.state("counters"), {})
end

function TestOrders:test_who_ordered_gets_a_mail()
    order(1)
    test.run()
    lu.assertEquals(test.events("emails")[1].key, "ada@example.com")
    lu.assertEquals(test.call("orders/show", {id = "1"}).mail, "sent")
end

function TestOrders:test_mails_wait_while_their_server_is_down()
    test.call("mail/server", {state = "down"})
    order(1)
    test.run()
    lu.assertStrContains(test.parked()[1].last_error, "the mail server does not answer")
    lu.assertEquals(test.call("orders/show", {id = "1"}).mail, "waiting")
end
