import CFuzzer
import Glibc

// packet-fuzz TARGET [libFuzzer's arguments]
// packet-fuzz seeds TARGET DIRECTORY
// See scripts/fuzz.

if CommandLine.argc == 4, CommandLine.arguments[1] == "seeds" {
    for (number, seed) in seeds(of: CommandLine.arguments[2]).enumerated() {
        let file = fopen("\(CommandLine.arguments[3])/made-\(number)", "w")
        guard file != nil, fwrite(seed, 1, seed.count, file) == seed.count, fclose(file) == 0 else {
            perror("packet-fuzz: \(CommandLine.arguments[3])")
            exit(1)
        }
    }
    exit(0)
}

/// What libFuzzer calls with each input; set once, before the first call.
nonisolated(unsafe) private var target: @Sendable ([UInt8]) -> Void = { _ in }

guard CommandLine.argc >= 2, let chosen = targets[CommandLine.arguments[1]] else {
    print("packet-fuzz: name a target: \(targets.keys.sorted().joined(separator: " "))")
    exit(2)
}
target = chosen
// libFuzzer takes the target for the name of the program.
var count = CommandLine.argc - 1
var rest: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv + 1
exit(
    LLVMFuzzerRunDriver(&count, &rest) { data, size in
        target(Array(UnsafeBufferPointer(start: data, count: size)))
        return 0
    })
