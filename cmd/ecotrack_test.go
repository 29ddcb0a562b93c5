package cmd

import (
	"bytes"
	"strings"
	"testing"
)

func TestEcotrackNamesWhatIsMissing(t *testing.T) {
	tests := []struct {
		role string
		env  map[string]string
		want []string
	}{
		{"engine", nil, []string{"ECOTRACK_DATABASE_URL must be set", "ECOTRACK_QUEUE_URL must be set"}},
		{"worker", map[string]string{"ECOTRACK_QUEUE_URL": "nats://q"}, []string{"ECOTRACK_DATABASE_URL must be set"}},
		{"reporting", nil, []string{"ECOTRACK_READ_DATABASE_URL must be set"}},
		{
			"reporting",
			map[string]string{"ECOTRACK_MAX_IN_FLIGHT": "many", "ECOTRACK_DRAIN": "soon", "ECOTRACK_LOG_LEVEL": "loud"},
			[]string{"ECOTRACK_MAX_IN_FLIGHT", "ECOTRACK_DRAIN", "ECOTRACK_LOG_LEVEL"},
		},
	}
	for _, tt := range tests {
		_, err := ecotrackFromEnv(tt.role, func(k string) string { return tt.env[k] }, &streams{Err: &bytes.Buffer{}})
		if err == nil {
			t.Errorf("ecotrackFromEnv(%s, %v): no error, want %q", tt.role, tt.env, tt.want)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("ecotrackFromEnv(%s, %v) = %v, want %q in it", tt.role, tt.env, err, want)
			}
		}
	}
}

func TestEcotrackReadsItsEnvironment(t *testing.T) {
	env := map[string]string{
		"ECOTRACK_NODE": "engine-2", "ECOTRACK_ZONE": "b", "ECOTRACK_DATABASE_URL": "postgres://d",
		"ECOTRACK_QUEUE_URL": "nats://q", "ECOTRACK_QUEUE_REPLICAS": "3",
	}
	o, err := ecotrackFromEnv("engine", func(k string) string { return env[k] }, &streams{Err: &bytes.Buffer{}})
	if err != nil {
		t.Fatal(err)
	}
	if o.node != "engine-2" || o.zone != "b" || o.listen != ":8080" || o.database != "postgres://d" ||
		o.queue != "nats://q" || o.queueReplicas != 3 || o.maxConns != 12 {
		t.Errorf("ecotrackFromEnv = %+v", o)
	}
}
