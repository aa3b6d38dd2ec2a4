// A short soak: many turns of every kind, and nothing that grows with them. The long one is `make soak`.
import { judge, soak } from '../bench/soak.mjs';
import { bin, done, equal, ok, test } from './lib.mjs';

const instrumented = Number(process.env.OC_TEST_TIMEOUT ?? 120) > 120; // such a build has an allocator of its own, and time for less
const [turns, sessions] = instrumented ? [300, 10] : [1500, 30];

// A gateway that leaks `leak` bytes in `blocks` blocks a turn, as the soak would see it; and one descriptor in 100 turns.
const seen = (leak, blocks, fds) => Array.from({ length: 20 }, (_, i) => {
	const at = (i + 1) * 5000;
	const noise = ((i * 7919) % 13) * 4096;
	return { at, rss: 20e6 + leak * at + noise * 4, heap: 5e6 + leak * at + noise / 8, store: 2e6, modules: 1e5, turns: 0, blocks: 6000 + blocks * at + (i % 5),
		timers: 5, handles: 20 + (i % 3), owners: 18, fds: 50 + Math.floor(fds * at) };
});
const grew = (points) => judge(points, []).filter((v) => !v.ok).map((v) => v.what);

test('the judgement sees a leak, and noise is none', () => {
	equal(grew(seen(0, 0, 0)), []);
	equal(grew(seen(64, 0, 0)), ['RSS, bytes a turn', 'heap without the store, bytes a turn']);
	equal(grew(seen(0, 0.05, 0)), ['blocks of memory a turn']);
	equal(grew(seen(0, 0, 0.01)), ['descriptors more']);
	equal(judge(seen(0, 0, 0), ['turn 1']), [], 'no judgement over failures');
});

test(`${turns} turns with tools, sub-agents and compaction leave nothing behind`, async () => {
	const result = await soak({ bin, turns, sessions, concurrency: 12, seconds: 90, say: (line) => console.log(`# ${line}`) });
	equal(result.failures, []);
	const m = result.points.at(-1).m;
	ok(m.tool_calls_total > turns * 0.15, `${m.tool_calls_total} tool calls`);
	ok(m.subagents_started_total > 0 && m['subagents_ended_total{result="other"}'] === 0, 'sub-agents did their work');
	ok(result.late || m.model_calls_total > turns * 1.2, `${m.model_calls_total} model calls`);
	ok(result.verdict.length > 0, `too slow to tell: ${result.turns} turns`);
	const rows = result.verdict.filter((v) => !(instrumented && /^(RSS|heap)/.test(v.what)));
	equal(rows.filter((v) => !v.ok), []);
});

await done();
