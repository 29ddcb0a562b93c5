package target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Converge returns once the system has come to rest: exactly one primary; every running standby
// and the replica have replayed all that the primary had written when it was asked; and the queue
// is empty. When ctx ends first, the error says what was still missing.
func (s *System) Converge(ctx context.Context) error {
	if err := Retry(ctx, 0, s.checkConverged); err != nil {
		return fmt.Errorf("converge: %w", err)
	}
	return nil
}

func (s *System) checkConverged(ctx context.Context) error {
	return errors.Join(s.checkReplayed(ctx), s.checkDrained(ctx))
}

// checkReplayed says which database node has not replayed what the primary has written.
func (s *System) checkReplayed(ctx context.Context) error {
	primary, _, err := s.Primary(ctx)
	if err != nil {
		return err
	}
	var written string
	// The insert position, not the flushed one: with asynchronous commits they differ by seconds.
	err = s.queryDatabase(ctx, primary, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT pg_current_wal_insert_lsn()::text").Scan(&written)
	})
	if err != nil {
		return err
	}
	var missing []string
	for _, n := range s.role(RoleDatabase, RoleReplica) {
		running, _, err := s.Running(ctx, n)
		if err != nil {
			return err
		}
		if n.Name == primary.Name || !running {
			continue
		}
		if err := s.checkBehind(ctx, n, written); err != nil {
			missing = append(missing, err.Error())
		}
	}
	if len(missing) > 0 {
		return errors.New(strings.Join(missing, "; "))
	}
	return nil
}

// checkBehind says how far a standby is behind a position, or that it does not stream.
func (s *System) checkBehind(ctx context.Context, n Node, written string) error {
	var behind int64
	var streaming bool
	err := s.queryDatabase(ctx, n, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `SELECT
				coalesce(pg_wal_lsn_diff($1::text::pg_lsn, pg_last_wal_replay_lsn()), 1)::bigint,
				EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')`,
			written).Scan(&behind, &streaming)
	})
	switch {
	case err != nil:
		return err
	case !streaming:
		return fmt.Errorf("%s does not stream", n.Name)
	case behind > 0:
		return fmt.Errorf("%s is %d bytes behind", n.Name, behind)
	}
	return nil
}

// checkDrained says how many jobs the queue holds. EcoTrack's stream is a work queue: a job leaves
// it when a worker has acknowledged it.
func (s *System) checkDrained(ctx context.Context) error {
	var streams, led int
	for _, n := range s.role(RoleQueue) {
		running, _, err := s.Running(ctx, n)
		if err != nil {
			return err
		}
		if !running {
			continue
		}
		body, err := s.expectOK(ctx, n, "monitor", "/jsz?streams=1")
		if err != nil {
			return fmt.Errorf("%s: %w", n.Name, err)
		}
		found, leads, jobs, err := readStreams(body, n.Name)
		if err != nil {
			return fmt.Errorf("%s: /jsz: %w", n.Name, err)
		}
		if jobs > 0 {
			return fmt.Errorf("%d jobs are in the queue", jobs)
		}
		streams, led = max(streams, found), led+leads
	}
	if led < streams {
		return fmt.Errorf("%d of %d streams of the queue have no leader", streams-led, streams)
	}
	return nil
}

// readStreams reads from a server's /jsz how many streams it knows, how many it leads, and how many
// messages those hold. A server that follows may be behind, so its counts do not matter.
func readStreams(body []byte, server string) (streams, led, messages int, err error) {
	var said struct {
		Accounts []struct {
			Streams []struct {
				Cluster *struct {
					Leader string `json:"leader"`
				} `json:"cluster"`
				State struct {
					Messages int `json:"messages"`
				} `json:"state"`
			} `json:"stream_detail"`
		} `json:"account_details"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return 0, 0, 0, err
	}
	for _, a := range said.Accounts {
		for _, stream := range a.Streams {
			streams++
			// A server on its own has no cluster, and leads everything.
			if stream.Cluster == nil || stream.Cluster.Leader == "" || stream.Cluster.Leader == server {
				led++
				messages += stream.State.Messages
			}
		}
	}
	return streams, led, messages, nil
}

// ReadLedger returns every durable calculation as this database node holds it, in the order of the
// keys. It reads in one snapshot and changes nothing.
func (s *System) ReadLedger(ctx context.Context, n Node) ([]LedgerRow, error) {
	var rows []LedgerRow
	err := s.queryDatabase(ctx, n, func(tx pgx.Tx) error {
		result, err := tx.Query(ctx, `SELECT idempotency_key, id::text, row_hash, trim_scale(co2e_kg)::text
			FROM calculations ORDER BY idempotency_key, id`)
		if err != nil {
			return err
		}
		rows, err = pgx.CollectRows(result, pgx.RowToStructByPos[LedgerRow])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return rows, nil
}

// queryDatabase runs ask in a read-only transaction of the superuser on one database node, through
// its port on the loopback.
func (s *System) queryDatabase(ctx context.Context, n Node, ask func(pgx.Tx) error) error {
	address := n.Endpoints["postgres"]
	if address == "" {
		return fmt.Errorf("%s is no database node", n.Name)
	}
	config, err := pgx.ParseConfig("postgres://postgres:" + superPassword + "@" + address +
		"/ecotrack?sslmode=disable&connect_timeout=2&application_name=squall")
	if err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	// Nothing was changed, so that an error of the closing says nothing.
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{AccessMode: pgx.ReadOnly, IsoLevel: pgx.RepeatableRead}, ask)
	if err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	return nil
}
