package target

import (
	"strings"
	"testing"
)

func TestAdviceNamesHostsAndNoPasswords(t *testing.T) {
	env := map[string]string{"http_proxy": "http://ann:secret@proxy.example:3128", "HTTPS_PROXY": "http://127.0.0.1:9"}
	getenv := func(name string) string { return env[name] }
	tests := []struct {
		name, got string
		want      []string
	}{
		{"mirror", mirrorAdvice(getenv), []string{"deb.debian.org", "(http_proxy is proxy.example:3128)"}},
		{"mirror without a proxy", mirrorAdvice(func(string) string { return "" }), []string{"must answer: try"}},
		{
			"modules", moduleAdvice("https://bob:secret@goproxy.example/x|https://proxy.golang.org,direct", getenv),
			[]string{"goproxy.example, proxy.golang.org, direct", "HTTPS_PROXY is 127.0.0.1:9"},
		},
		{"a proxy without a scheme", moduleAdvice("ann:secret@goproxy.example", getenv), []string{"unreadable"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, want := range test.want {
				if !strings.Contains(test.got, want) {
					t.Errorf("advice %q, want %q in it", test.got, want)
				}
			}
			if strings.Contains(test.got, "secret") {
				t.Errorf("advice %q, want no password in it", test.got)
			}
		})
	}
}
