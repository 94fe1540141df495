package com.acme.shop.orders;

import java.sql.SQLException;
import java.util.Optional;
import javax.sql.DataSource;

/** Reads orders. Each call takes one connection of the pool. */
final class OrderRepository {
    private final DataSource pool;

    OrderRepository(DataSource pool) {
        this.pool = pool;
    }

    Optional<Order> find(long id) throws SQLException {
        // The connection is not closed when the query throws, so the pool runs dry.
        var sql = "select id, customer, total from orders where id = ?";
        var connection = pool.getConnection();
        var statement = connection.prepareStatement(sql);
        statement.setLong(1, id);
        var rows = statement.executeQuery();
        var order = rows.next() ? Optional.of(Order.of(rows)) : Optional.<Order>empty();
        connection.close();
        return order;
    }
}
