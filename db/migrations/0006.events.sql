-- Events read from pages.
-- depends: 0002.pages

CREATE TABLE events (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    source_id     uuid NOT NULL REFERENCES scraper_sources ON DELETE CASCADE,
    page_id       bigint REFERENCES scraped_pages ON DELETE SET NULL,
    uid           text,
    title         text NOT NULL,
    description   text,
    starts_at     timestamptz,
    ends_at       timestamptz,
    timezone      text,
    all_day       boolean,
    time_text     text,
    status        text,
    venue         text,
    address       jsonb,
    latitude      double precision CHECK (latitude BETWEEN -90 AND 90),
    longitude     double precision CHECK (longitude BETWEEN -180 AND 180),
    organiser     text,
    offers        jsonb,
    image_url     text,
    categories    text[] NOT NULL DEFAULT '{}',
    language      text,
    urls          text[] NOT NULL DEFAULT '{}',
    quality       real,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at  timestamptz NOT NULL DEFAULT now()
);

-- Each DELETE of a page looks for its events.
CREATE INDEX events_page_idx ON events (page_id);
