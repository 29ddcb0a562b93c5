package carbon

// Sum adds unrounded results (R24). It refuses results of different GWP sets with a *MixedGWPError
// and no results at all with an *EmptySumError.
//
// The total is no better than its parts: it carries the worst status, every flag, a gas only when
// every part knows it, and a market figure only when none is held. A part without a market figure
// counts there with its CO2e, as scopes 1 and 3 do.
func Sum(results []Result) (Result, error) {
	if len(results) == 0 {
		return Result{}, &EmptySumError{}
	}
	first := results[0]
	total := Result{Set: first.Set, Asked: first.Asked, Status: StatusComplete}
	var market Decimal
	hasMarket := false
	gases := Gases{CO2: new(Decimal), CH4: new(Decimal), N2O: new(Decimal)}
	for i, result := range results {
		if result.Set != total.Set {
			return Result{}, &MixedGWPError{First: total.Set, Other: result.Set, Index: i}
		}
		total.CO2e = total.CO2e.Add(result.CO2e)
		total.Outside = total.Outside.Add(result.Outside)
		gases = gases.plus(result.Gases)
		if result.Market != nil {
			market, hasMarket = market.Add(*result.Market), true
		} else {
			market = market.Add(result.CO2e)
		}
		total.MarketHeld = total.MarketHeld || result.MarketHeld
		total.worsen(result.Status)
		for _, flag := range result.Flags {
			total.flag(flag)
		}
	}
	total.Gases = gases
	if hasMarket && !total.MarketHeld {
		total.Market = &market
	}
	return total, nil
}

func (g Gases) plus(other Gases) Gases {
	add := func(a, b *Decimal) *Decimal {
		if a == nil || b == nil {
			return nil
		}
		sum := a.Add(*b)
		return &sum
	}
	return Gases{CO2: add(g.CO2, other.CO2), CH4: add(g.CH4, other.CH4), N2O: add(g.N2O, other.N2O)}
}
