-- The shop's tables. Idempotent: it is applied at every start.

CREATE TABLE IF NOT EXISTS products (
    sku         text PRIMARY KEY,
    name        text NOT NULL,
    price_cents integer NOT NULL CHECK (price_cents > 0),
    stock       integer NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS carts (
    customer text PRIMARY KEY,
    coupon   text  -- kept for the coupons to come
);

CREATE TABLE IF NOT EXISTS cart_lines (
    customer text NOT NULL REFERENCES carts (customer),
    sku      text NOT NULL REFERENCES products (sku),
    quantity integer NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (customer, sku)
);

CREATE TABLE IF NOT EXISTS orders (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer    text NOT NULL,
    total_cents integer NOT NULL CHECK (total_cents >= 0),
    placed_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS order_lines (
    order_id    bigint NOT NULL REFERENCES orders (id),
    sku         text NOT NULL REFERENCES products (sku),
    quantity    integer NOT NULL CHECK (quantity > 0),
    price_cents integer NOT NULL CHECK (price_cents > 0),
    PRIMARY KEY (order_id, sku)
);

INSERT INTO products (sku, name, price_cents, stock) VALUES
    ('MUG-01',  'Enamel mug',         1490, 100000),
    ('TEA-07',  'First flush, 100 g', 1250, 100000),
    ('POT-02',  'Cast iron teapot',   5900, 100000),
    ('TRAY-03', 'Oak tray',           3450, 100000),
    ('LAMP-05', 'Reading lamp',       7900, 100000),
    ('BOOK-11', 'Notebook, dotted',    890, 100000)
ON CONFLICT (sku) DO NOTHING;
