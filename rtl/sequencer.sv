// Issues passes at the cycles that a schedule names, and knows no interval itself: what comes too early disturbs what is under way.
// Outputs are for row 0 and column 0 and hold in cycle `cycle`.
module sequencer #(
  parameter ROWS = 4,
  parameter COLUMNS = 4,
  parameter WEIGHT_ROWS = 1,
  parameter WIDTH = 32,
  parameter ROW_BITS = 8,
  parameter ADDRESS_BITS = 16,
  parameter PASSES = 4096,
  parameter LINES = 65536
) (
  input clk,
  input reset,
  output reg signed [31:0] cycle,
  output reg output_stationary,
  output reg [ROWS*WIDTH-1:0] x,
  output reg valid, first, last,
  output reg [WEIGHT_ROWS*COLUMNS*WIDTH-1:0] weights,
  output reg [WEIGHT_ROWS-1:0] weights_valid,
  output reg [WEIGHT_ROWS*ROW_BITS-1:0] weights_row,
  output reg preload,
  output reg [ROW_BITS-1:0] preload_row,
  output reg read_zero,
  output reg [ADDRESS_BITS-1:0] read_address,
  output reg write_valid,
  output reg [ADDRESS_BITS-1:0] write_address,
  // With the last sum of a pass: which pass.
  output reg write_last,
  output reg [31:0] write_pass
);
  // Operands: a line of x is one row of M (weight-stationary) or one k (output-stationary) for all ROWS rows of the array, a line of w is
  // one k for all COLUMNS columns.
  reg [ROWS*WIDTH-1:0] x_lines [0:LINES-1];
  reg [COLUMNS*WIDTH-1:0] w_lines [0:LINES-1];

  // The schedule. In cycle `load` the weights, or the sums that are preloaded, begin to enter; in cycle `stream` the first line of x.
  integer passes;
  reg pass_output_stationary [0:PASSES-1], pass_continues [0:PASSES-1];
  integer pass_load [0:PASSES-1], pass_stream [0:PASSES-1], pass_length [0:PASSES-1];
  integer pass_x [0:PASSES-1], pass_w [0:PASSES-1], pass_sums [0:PASSES-1];

  // Three things under way: what is loaded, what streams, what drains; how many cycles each has had.
  integer loading, loaded, streaming, streamed, draining, drained;
  integer now, j;

  // Where sums belong: on their way down the array (weight-stationary), in the drain register of row 0, in the input register of the accumulators.
  localparam PLACE = 1 + 1 + ADDRESS_BITS + 32;
  reg [PLACE-1:0] descending [0:ROWS-1];
  reg [PLACE-1:0] drained_place, entered;
  reg drained_valid;

  always @(posedge clk) begin
    now = cycle + 1;
    cycle <= now;
    if (reset) begin
      now = -1;
      cycle <= -1;
      loading = -1; loaded = 0; streaming = -1; streamed = 0; draining = -1; drained = 0;
      for (j = 0; j < ROWS; j = j + 1) descending[j] = 0;
      entered = 0;
    end

    loaded = loaded + 1;
    streamed = streamed + 1;
    drained = drained + 1;
    if (loading + 1 < passes && pass_load[loading+1] == now) begin
      loading = loading + 1;
      loaded = 0;
      output_stationary <= pass_output_stationary[loading];
    end
    if (streaming + 1 < passes && pass_stream[streaming+1] == now) begin
      streaming = streaming + 1;
      streamed = 0;
    end

    weights_valid <= 0;
    weights <= {(WEIGHT_ROWS*COLUMNS*WIDTH){1'bx}};
    preload <= 0;
    read_zero <= 0;
    read_address <= {ADDRESS_BITS{1'bx}};
    x <= {(ROWS*WIDTH){1'bx}};
    valid <= 0;
    first <= 0;
    last <= 0;
    descending[0] = 0;

    if (loading >= 0 && !pass_output_stationary[loading]) begin
      for (j = 0; j < WEIGHT_ROWS; j = j + 1)
        if (loaded * WEIGHT_ROWS + j < ROWS) begin
          weights_valid[j] <= 1;
          weights_row[j*ROW_BITS +: ROW_BITS] <= loaded * WEIGHT_ROWS + j;
          weights[j*COLUMNS*WIDTH +: COLUMNS*WIDTH] <= w_lines[pass_w[loading] + loaded * WEIGHT_ROWS + j];
        end
    end
    if (loading >= 0 && pass_output_stationary[loading] && pass_continues[loading] && loaded < ROWS) begin
      preload <= 1;
      preload_row <= loaded;
      read_address <= pass_sums[loading] + loaded;
    end

    if (streaming >= 0 && streamed < pass_length[streaming]) begin
      valid <= 1;
      x <= x_lines[pass_x[streaming] + streamed];
      last <= streamed == pass_length[streaming] - 1;
      if (pass_output_stationary[streaming]) begin
        first <= streamed == 0 && !pass_continues[streaming];
        weights[0 +: COLUMNS*WIDTH] <= w_lines[pass_w[streaming] + streamed];
      end else begin
        first <= streamed == 0;
        read_zero <= !pass_continues[streaming];
        read_address <= pass_sums[streaming] + streamed;
        descending[0] = {1'b1, streamed == pass_length[streaming] - 1, pass_sums[streaming][ADDRESS_BITS-1:0] + streamed[ADDRESS_BITS-1:0], streaming};
      end
    end

    // Row 0 has its sum in the drain register one cycle after its last k, those of the rows below come there two cycles after the one above.
    drained_valid = draining >= 0 && drained % 2 == 1 && drained < 2 * ROWS;
    drained_place = {drained_valid, drained == 2 * ROWS - 1, pass_sums[draining][ADDRESS_BITS-1:0] + drained[ADDRESS_BITS:1], draining};
    if (streaming >= 0 && pass_output_stationary[streaming] && streamed == pass_length[streaming] - 1) begin
      draining = streaming;
      drained = 0;
    end

    {write_valid, write_last, write_address, write_pass} <= entered;
    entered = loading >= 0 && pass_output_stationary[loading] ? drained_place : descending[ROWS-1];
    for (j = ROWS - 1; j > 0; j = j - 1) descending[j] = descending[j-1];
  end
endmodule
