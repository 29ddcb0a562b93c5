package engine

import (
	"math"
	"strings"
	"testing"
)

func request(quantity string) Request {
	return Request{Activity: Activity{
		Kind: KindFactor, Factor: anthracite, Quantity: quantity,
		Unit: "mmBtu", Period: "2026-Q1",
	}}
}

func TestRequestHashFillsInDefaults(t *testing.T) {
	bare, explicit, other := request("1"), request("1"), request("1")
	draws, none := DefaultDraws, 0
	explicit.GWPSet, explicit.Draws = "AR5", &draws
	other.Draws = &none
	if bare.Hash() != explicit.Hash() {
		t.Error("Hash differs between a default left out and written out, want one")
	}
	if bare.Hash() == other.Hash() || bare.Hash() == request("2").Hash() {
		t.Error("Hash is the same for different requests")
	}
}

func TestEntryIsDeterministic(t *testing.T) {
	c := NewCalculator(catalogue(t))
	first, _, err := c.Entry("t", "k", request("12.5"))
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := c.Entry("t", "k", request("12.5"))
	if err != nil || string(first.Body) != string(again.Body) || first.RequestHash != again.RequestHash {
		t.Errorf("Entry twice = %s and %s (%v), want the same: a retry on another node must agree",
			first.Body, again.Body, err)
	}
	if strings.Contains(string(first.Body), "receipt") || first.Scope != "1" || first.Market != "" {
		t.Errorf("Entry = %+v, want scope 1, no market figure and no receipt in the body", first)
	}
}

func TestKg(t *testing.T) {
	tests := []struct {
		v    float64
		want string
	}{
		{1305.71857215, "1305.71857215"},
		{0.1 + 0.2, "0.3"},
		{1e-9, "0.000000001"},
		{123456789012345678, "123456789012345680"},
		{0, "0"},
		{math.NaN(), "0"},
		{-2.5, "-2.5"},
	}
	for _, tt := range tests {
		if got := kg(tt.v); got != tt.want {
			t.Errorf("kg(%v) = %s, want %s", tt.v, got, tt.want)
		}
	}
}

func BenchmarkEntry(b *testing.B) {
	cat, err := loaded()
	if err != nil {
		b.Fatal(err)
	}
	c := NewCalculator(cat)
	for b.Loop() {
		if _, _, err := c.Entry("t", "k", request("12.5")); err != nil {
			b.Fatal(err)
		}
	}
}
