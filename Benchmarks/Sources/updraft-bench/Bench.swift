import Updraft

/// Timers, callbacks from other threads, reads, fairness: one line a figure.
/// `Benchmarks/compare` runs it.
@main
struct Bench {
    static let usage = """
        usage: updraft-bench timers updraft|updraft-task|updraft-context|heap [COUNT]
               updraft-bench async [COUNT]
               updraft-bench reads [COUNT [FORM]]
               updraft-bench fairness PORT [COUNT]

        """

    static func main() throws {
        var arguments = CommandLine.arguments.dropFirst()
        switch arguments.popFirst() {
        case "timers":
            let subject = arguments.popFirst()
            let count = arguments.popFirst().flatMap { Int($0) } ?? 1_000_000
            switch subject {
            case "updraft": try TimerBench(name: "updraft", count: count).runPlain()
            case "updraft-task": try TimerBench(name: "updraft-task", count: count).runInTask()
            case "updraft-context":
                try TimerBench(name: "updraft-context", count: count).runWithLocal()
            case "heap": HeapBench(count: count).run()
            default: print(usage, terminator: "")
            }
        case "async":
            let count = arguments.popFirst().flatMap { Int($0) } ?? 200_000
            try AsyncBench(count: count).run()
        case "reads":
            let count = arguments.popFirst().flatMap { Int($0) } ?? 20
            try ReadBench(count: count, only: arguments.popFirst()).run()
        case "fairness":
            guard let port = arguments.popFirst().flatMap({ Int($0) }) else {
                return print(usage, terminator: "")
            }
            let count = arguments.popFirst().flatMap { Int($0) } ?? 2_000
            FairnessBench(port: port, count: count).run()
        default:
            print(usage, terminator: "")
        }
    }
}
